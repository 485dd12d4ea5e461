import pytest

from searchenv.worlds.stream import Stream


def test_stream_is_frozen() -> None:
    stream = Stream(7, "test")
    assert [stream.below(100) for _ in range(6)] == [63, 63, 99, 50, 40, 78]
    assert stream.sample("abcdef", 6) == ["f", "d", "a", "b", "e", "c"]


def test_stream_of_another_name_differs() -> None:
    first, second = Stream(7, "one"), Stream(7, "two")
    assert [first.below(1000) for _ in range(5)] != [second.below(1000) for _ in range(5)]


def test_below_reaches_every_value() -> None:
    stream = Stream(1, "test")
    assert {stream.below(5) for _ in range(200)} == {0, 1, 2, 3, 4}


def test_below_of_zero_is_an_error() -> None:
    with pytest.raises(ValueError, match="n must be >= 1, got 0"):
        Stream(1, "test").below(0)


def test_between_includes_both_ends() -> None:
    stream = Stream(1, "test")
    assert {stream.between(3, 5) for _ in range(100)} == {3, 4, 5}


def test_chance_is_never_at_zero_and_always_at_one() -> None:
    stream = Stream(1, "test")
    assert not any(stream.chance(0.0) for _ in range(100))
    assert all(stream.chance(1.0) for _ in range(100))


def test_sample_of_more_than_there_is_returns_all() -> None:
    assert sorted(Stream(1, "test").sample([3, 1, 2], 10)) == [1, 2, 3]
