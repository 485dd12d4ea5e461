import gzip
import json
import pickle
import re
import string
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from searchenv.metrics import SCORERS, Scorer, get_scorer

NAMES = sorted(SCORERS)
ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=30)  # lone surrogates too
PIECES = ["the", "A", "an", "yes", "No", "noanswer", "True", "False", "chief", "Chief", "U.S."]
TRAPS = ["1,000", "1000", "_", "-", "’", "“", "é", "e\u0301", "ß", "東京", "\u2028", "\u00a0", ""]
WORDS = st.lists(st.sampled_from(PIECES + TRAPS), max_size=6).map(" ".join)
TEXT = ANY_TEXT | WORDS


# (scorer, prediction, gold answers, score worked out by hand)
GOLDEN = [
    # Articles and punctuation go, case is folded.
    ("em", "The Eiffel Tower!", ["eiffel tower"], 1.0),
    ("em", "a.", ["the"], 1.0),  # both are empty after normalising
    ("em", "Eiffel", ["Eiffel Tower"], 0.0),
    ("em", "1,000", ["1000"], 1.0),
    ("em", "U.S.", ["us"], 1.0),
    ("em", "Jean-Luc", ["Jean Luc"], 0.0),  # the hyphen is deleted: "jeanluc"
    ("em", "theatre", ["atre"], 0.0),  # articles are whole words
    ("em", "“the” end", ["“ ” end"], 1.0),  # quotes stay, and border on a word
    (
        "em",
        "snake_the_case",
        ["snakethecase"],
        1.0,
    ),  # "_" is deleted before articles are looked for
    ("em", "", [""], 1.0),
    ("em", "Rome", ["Paris", "rome."], 1.0),
    # Unicode
    ("em", "STRASSE", ["Straße"], 0.0),  # lower() makes no "ss" of "ß"
    ("em", "Straße", ["straße"], 1.0),
    ("em", "ÉCOLE", ["école"], 1.0),
    ("em", "e\u0301cole", ["\u00e9cole"], 0.0),  # nothing is composed
    ("em", "東京", ["東京。"], 0.0),  # the ideographic full stop is no ASCII punctuation
    ("em", "دمشق!", ["دمشق"], 1.0),
    ("em", "New\u00a0York", ["new york"], 1.0),  # a no-break space is white space
    ("em", "1914–1918", ["19141918"], 0.0),  # an en dash stays
    # 2 common words of 2 and 3: p = 1, r = 2/3, F1 = (4/3)/(5/3) = 0.8
    ("f1_squad", "Eiffel Tower", ["Eiffel Tower Paris"], 0.8),
    # Bags, not sets: common("b b c", "b d b b") = 2, p = 2/3, r = 2/4, F1 = (2/3)/(7/6) = 4/7
    ("f1_squad", "b b c", ["b d b b"], 4 / 7),
    ("f1_squad", "c b", ["b c"], 1.0),
    ("f1_squad", "", [""], 0.0),
    ("f1_squad", "the", ["the"], 0.0),
    ("f1_squad", "Oslo", [""], 0.0),
    # The better of 0 and 2·(1/2)·1/(3/2) = 2/3
    ("f1_squad", "red fox", ["hen", "fox"], 2 / 3),
    # yes is one of two words: p = 1/2, r = 1, F1 = 2/3; HotpotQA gives nothing for it
    ("f1_squad", "yes indeed", ["yes"], 2 / 3),
    ("f1_hotpot", "yes indeed", ["yes"], 0.0),
    ("f1_hotpot", "no", ["no way"], 0.0),
    ("f1_hotpot", "NoAnswer", ["noanswer"], 1.0),
    ("f1_hotpot", "Yes.", ["yes"], 1.0),
    ("f1_hotpot", "yes indeed", ["yes of course"], 0.4),  # p = 1/2, r = 1/3: (1/3)/(5/6) = 2/5
    ("f1_hotpot", "True", ["yes"], 0.0),
    ("f1_2wiki", "yes indeed", ["yes"], 0.0),
    ("f1_2wiki", "yes", ["no", "Yes"], 1.0),
    ("em_2wiki", "Dutch", ["Netherlands", "dutch"], 1.0),
    ("em_musique", "The Hague", ["Den Haag", "hague"], 1.0),
    ("f1_musique", "yes indeed", ["yes"], 2 / 3),
    ("f1_musique", "the", ["!"], 1.0),
    ("f1_musique", "the", ["Oslo"], 0.0),
    ("f1_musique", "", [""], 1.0),
    # Contiguous characters
    ("sub_em", "It was the Chief of Protocol.", ["chief of protocol"], 1.0),
    ("sub_em", "protocol of the chief", ["chief of protocol"], 0.0),
    ("sub_em", "in 1832", ["83"], 1.0),
    ("sub_em", "anything", ["The"], 1.0),
    ("sub_em", "", ["Oslo"], 0.0),
    # R1-Searcher: punctuation becomes a space
    ("em_r1", "U.S.", ["US"], 0.0),
    ("em_r1", "1,000", ["1000"], 0.0),
    ("em_r1", "Jean-Luc", ["Jean Luc"], 1.0),
    ("em_r1", "snake_case", ["snake case"], 1.0),
    ("em_r1", "O’Neill", ["O'Neill"], 1.0),
    ("em_r1", "O`Neill", ["O´Neill"], 1.0),
    ("em_r1", "“Ran”", ["Ran"], 0.0),
    ("em_r1", "True", ["yes"], 1.0),
    ("em_r1", "False", ["No."], 1.0),
    ("em_r1", " False ", ["no"], 0.0),  # not stripped before it is looked up
    ("em_r1", "true", ["yes"], 0.0),
    ("em_r1", "!", ["the"], 1.0),
    ("f1_r1", "!", ["the"], 0.0),
    ("f1_r1", "True", ["yes"], 1.0),
    ("f1_r1", "yes indeed", ["yes"], 0.0),
    ("f1_r1", "1,000", ["1000"], 0.0),  # {1, 000} and {1000} share nothing
    ("f1_r1", "U.S.", ["U.S.A."], 1.0),  # both are "u s": the A has become an article
    ("f1_r1", "U.S.", ["U.S.S.R."], 2 / 3),  # common("u s", "u s s r") = 2: p = 1, r = 1/2
    ("cover_em_r1", "protocol of the chief", ["chief of protocol"], 1.0),
    ("cover_em_r1", "b", ["b b"], 1.0),
    ("cover_em_r1", "in 1832", ["83"], 0.0),
    (
        "cover_em_r1",
        "it is False",
        ["False"],
        0.0,
    ),  # the gold is "no", the prediction is not mapped
    ("cover_em_r1", "Oslo", ["the"], 0.0),
    ("cover_em_r1", "an", ["the"], 1.0),
    ("cover_em_r1", "Rome, Italy", ["Milan", "Italy"], 1.0),
    ("cover_em_2_r1", "protocol of the chief", ["chief of protocol"], 0.0),
    ("cover_em_2_r1", "The Chief-of-Protocol", ["chief of protocol"], 1.0),
    ("cover_em_2_r1", "in 1832", ["83"], 1.0),
    ("cover_em_2_r1", "Oslo", ["the"], 1.0),
]


@pytest.mark.parametrize(("name", "prediction", "answers", "score"), GOLDEN)
def test_scorer_golden(name: str, prediction: str, answers: list[str], score: float) -> None:
    assert get_scorer(name)(prediction, answers) == pytest.approx(score, abs=1e-15)


def test_golden_values_cover_every_scorer() -> None:
    assert {row[0] for row in GOLDEN} == set(SCORERS)


@pytest.mark.parametrize("name", NAMES)
def test_scorer_takes_the_best_gold(name: str) -> None:
    assert SCORERS[name]("Kyoto", ["Nara", "Kyoto", "Osaka"]) == 1.0
    assert SCORERS[name]("Kyoto", ["Nara"]) == 0.0


@pytest.mark.parametrize("name", NAMES)
def test_scorer_refuses_what_is_no_list_of_golds(name: str) -> None:
    with pytest.raises(ValueError, match="at least one gold answer"):
        SCORERS[name]("Kyoto", [])
    with pytest.raises(TypeError, match="got the string 'Kyoto'"):
        SCORERS[name]("Kyoto", "Kyoto")


@pytest.mark.parametrize("name", NAMES)
def test_scorer_names_its_source(name: str) -> None:
    scorer = SCORERS[name]
    assert scorer.name == name
    assert re.search(r"[0-9a-f]{40}|[Ss]ource( and differences?)? as for ``\w+``", scorer.about)
    assert pickle.loads(pickle.dumps(scorer)) == scorer


def test_scorers_are_frozen() -> None:
    with pytest.raises(TypeError, match="does not support item assignment"):
        SCORERS["mine"] = SCORERS["em"]  # type: ignore[index]
    with pytest.raises(FrozenInstanceError, match="cannot assign"):
        SCORERS["em"].name = "mine"  # type: ignore[misc]


def test_get_scorer_suggests_the_nearest_name() -> None:
    with pytest.raises(ValueError, match=r"unknown scorer 'f1_hotpt'. Did you mean 'f1_hotpot'\?"):
        get_scorer("f1_hotpt")


@pytest.mark.parametrize("name", NAMES)
@given(prediction=TEXT, answers=st.lists(TEXT, min_size=1, max_size=3))
def test_scorer_range_any_unicode(name: str, prediction: str, answers: list[str]) -> None:
    score = SCORERS[name](prediction, answers)
    assert isinstance(score, float)
    assert 0.0 <= score <= 1.0
    assert score == SCORERS[name](prediction, answers[::-1])


@pytest.mark.parametrize("name", [n for n in NAMES if n.startswith(("f1_", "em"))])
@given(one=TEXT, other=TEXT)
def test_em_and_f1_are_symmetric(name: str, one: str, other: str) -> None:
    assert SCORERS[name](one, [other]) == SCORERS[name](other, [one])


@given(prediction=TEXT, gold=TEXT)
@example(prediction="the", gold="!")
def test_exact_match_implies_the_laxer_scores(prediction: str, gold: str) -> None:
    if not SCORERS["em"](prediction, [gold]):
        return
    # SQuAD, HotpotQA and 2Wiki give F1 0 to two strings that are empty after normalising.
    empty = SCORERS["em"](gold, [""]) == 1.0
    for name in ("f1_squad", "f1_hotpot", "f1_2wiki"):
        assert SCORERS[name](prediction, [gold]) == (0.0 if empty else 1.0)
    for name in ("f1_musique", "sub_em"):
        assert SCORERS[name](prediction, [gold]) == 1.0


@given(prediction=TEXT, gold=TEXT)
@example(prediction="True", gold="yes")
@example(prediction="an", gold="’")
def test_exact_match_implies_the_laxer_scores_r1(prediction: str, gold: str) -> None:
    if not SCORERS["em_r1"](prediction, [gold]):
        return
    empty = SCORERS["em_r1"](gold, [""]) == 1.0
    assert SCORERS["f1_r1"](prediction, [gold]) == (0.0 if empty else 1.0)
    assert SCORERS["cover_em_r1"](prediction, [gold]) == 1.0
    assert SCORERS["cover_em_2_r1"](prediction, [gold]) == 1.0


def _is_word(char: str) -> bool:
    return char.isalnum() or char == "_"


def _plain_words(text: str, *, spaced: bool) -> list[str]:
    """Normalises character by character, without translation tables, regular expressions, joins."""
    removed = string.punctuation + ("‘’´`" if spaced else "")
    chars = [" " if c in removed and spaced else c for c in text.lower()]
    chars = [c for c in chars if c not in removed]
    out: list[str] = []
    run: list[str] = []
    for char in [*chars, " "]:
        if _is_word(char):
            run.append(char)
            continue
        word = "".join(run)
        out += [" " if word in ("a", "an", "the") else word, char]
        run = []
    return "".join(out).split()


def _plain_f1(prediction: list[str], gold: list[str]) -> float:
    left = list(gold)
    for word in prediction:
        if word in left:
            left.remove(word)
    common = len(gold) - len(left)
    return 2 * common / (len(prediction) + len(gold)) if common else 0.0


@given(prediction=TEXT, gold=TEXT)
def test_scorers_agree_with_a_plain_rewriting(prediction: str, gold: str) -> None:
    p, g = _plain_words(prediction, spaced=False), _plain_words(gold, spaced=False)
    closed = p != g and any(side in (["yes"], ["no"], ["noanswer"]) for side in (p, g))
    expected = {
        "em": p == g,
        "f1_squad": _plain_f1(p, g),
        "f1_hotpot": 0.0 if closed else _plain_f1(p, g),
        "f1_musique": 1.0 if not p and not g else _plain_f1(p, g),
        "sub_em": " ".join(g) in " ".join(p),
    }
    for name, score in expected.items():
        assert SCORERS[name](prediction, [gold]) == pytest.approx(float(score)), name


@given(prediction=TEXT, gold=TEXT)
def test_r1_scorers_agree_with_a_plain_rewriting(prediction: str, gold: str) -> None:
    mapped = [{"True": "yes", "False": "no"}.get(text, text) for text in (prediction, gold)]
    p, g = (_plain_words(text, spaced=True) for text in mapped)
    closed = p != g and any(side in (["yes"], ["no"], ["noanswer"]) for side in (p, g))
    expected = {
        "em_r1": p == g,
        "f1_r1": 0.0 if closed else _plain_f1(p, g),
        "cover_em_r1": all(word in p for word in g) if g else not p,
        "cover_em_2_r1": " ".join(g) in " ".join(p),
    }
    for name, score in expected.items():
        assert SCORERS[name](prediction, [gold]) == pytest.approx(float(score)), name


def test_scorer_is_a_value() -> None:
    assert Scorer("em", SCORERS["em"].compare) == SCORERS["em"]
    assert hash(SCORERS["em"]) == hash(get_scorer("em"))


@pytest.mark.data
def test_cover_em_r1_agrees_with_how_r1_searcher_chose_its_stage_1(data_dir: Path) -> None:
    # Each question has about ten sampled answers; the authors' scorer took at least one as right.
    with gzip.open(data_dir / "training_questions/r1_searcher_stage_1.jsonl.gz") as lines:
        records = [json.loads(line) for line in lines]
    cover = SCORERS["cover_em_r1"]
    hits = [[cover(each, [row["answer"]]) for each in row["pred_anses"]] for row in records]
    assert len(hits) == 350
    assert min(max(row) for row in hits) == 1.0
    contiguous = SCORERS["cover_em_2_r1"]  # the control: order matters, and fewer questions fit
    fits = [any(contiguous(p, [row["answer"]]) for p in row["pred_anses"]) for row in records]
    assert sum(fits) == 343
    hotpot = hits[:201]  # easy questions had been taken out: none is right within the first tries
    assert min(row.index(1.0) for row in hotpot) == 5
