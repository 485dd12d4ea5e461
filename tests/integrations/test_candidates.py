from searchenv.integrations.candidates import Candidate, find_candidates
from searchenv.policies.clues import Kind
from searchenv.types import Hit, Passage

FILM = Passage("1", "Blue Harbour", "Blue Harbour is a 1950 film. It was directed by Ann Lee.")
PERSON = Passage("2", "Ann Lee (director)", "Ann Lee (born 2 May 1901 in Oslo) was a director.")
SONG = Passage("3", "Red Song", "The song, heard in Blue Harbour, is by nobody.")
OTHER = Passage("4", "Green Hill", "Green Hill is a hill.")


def hits(*passages: Passage) -> tuple[Hit, ...]:
    return tuple(Hit(passage, 1.0 / rank, rank) for rank, passage in enumerate(passages, start=1))


def test_before_any_search_there_are_the_names_of_the_question() -> None:
    assert find_candidates(["Blue Harbour"], {}, 9) == [
        Candidate("Blue Harbour", Kind.NAME, source=None)
    ]


def test_passages_state_forward_inverse_and_nothing() -> None:
    found = find_candidates(["Blue Harbour"], {"Blue Harbour": hits(FILM, SONG, OTHER)}, 9)
    assert [(c.text, c.kind, c.source, c.inverse, c.depth, c.rank) for c in found] == [
        ("Blue Harbour", Kind.NAME, None, False, 0, 0),
        ("1950", Kind.DATE, "Blue Harbour", False, 1, 1),
        ("Ann Lee", Kind.NAME, "Blue Harbour", False, 1, 1),
        ("Red Song", Kind.NAME, "Blue Harbour", True, 1, 2),
        ("Green Hill", Kind.NAME, None, False, 8, 3),
    ]
    assert (found[2].before, found[2].after) == (("by", "directed", "was"), ())
    assert (found[3].before, found[3].after) == (("in", "heard", "song"), ("is", "by"))


def test_what_the_last_search_leads_to_comes_first_and_lies_deeper() -> None:
    searches = {"Blue Harbour": hits(FILM), "Ann Lee": hits(PERSON)}
    found = find_candidates(["Blue Harbour"], searches, 5)
    assert [(c.text, c.source, c.depth) for c in found] == [
        ("Blue Harbour", None, 0),
        ("2 May 1901", "Ann Lee", 2),
        ("Oslo", "Ann Lee", 2),
        ("1950", "Blue Harbour", 1),
        ("Ann Lee", "Blue Harbour", 1),
    ]


def test_sources_count_the_entities_that_lead_to_the_same_text() -> None:
    searches = {"Blue Harbour": hits(FILM), "Oslo": hits(PERSON)}
    found = find_candidates(["Blue Harbour", "Oslo"], searches, 9)
    assert [(c.text, c.source, c.inverse, c.sources) for c in found] == [
        ("Blue Harbour", None, False, 0),
        ("Oslo", None, False, 0),
        ("Ann Lee", "Oslo", True, 2),
        ("1950", "Blue Harbour", False, 1),
    ]
