"""Named, frozen scorers for short answers: what one prediction is worth against its gold answers.

Every published number on HotpotQA, 2WikiMultihopQA, MuSiQue and Bamboogle comes from a script with
its own small habits. Each habit has a name here, so that a score can say which one it followed::

    >>> get_scorer("f1_squad")("the yes vote", ["Yes"])
    0.6666666666666666
    >>> get_scorer("f1_hotpot")("the yes vote", ["Yes"])
    0.0

The comparisons were written from the behaviour of the scripts that their docstrings name. Four
things hold for all of them:

1. A score is the best over the gold answers, also where the official script knows one gold answer
   only.
2. The punctuation that is removed is ASCII punctuation. "–", "“", "。" stay, and so do accents: "é"
   as one character and as "e" with a combining accent are different, and "ß" is not "ss".
3. Case is folded by ``str.lower``. Words are what lies between Unicode white space, so that Chinese
   or Japanese text without spaces is one word.
4. Any ``str`` is accepted, lone surrogates too.
"""

import re
import string
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from inspect import cleandoc
from types import MappingProxyType

from searchenv.errors import did_you_mean

__all__ = ["SCORERS", "Scorer", "get_scorer"]

_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_PUNCTUATION_DELETED = str.maketrans("", "", string.punctuation)
_PUNCTUATION_SPACED = str.maketrans(dict.fromkeys(string.punctuation + "‘’´`", " "))
_CLOSED_ANSWERS = frozenset({"yes", "no", "noanswer"})


@dataclass(frozen=True, slots=True)
class Scorer:
    """Scores one prediction against its gold answers, in [0, 1].

    Calling it raises ``ValueError`` when ``answers`` is empty and ``TypeError`` when it is one
    string, which would be read as a list of its characters.
    """

    name: str
    compare: Callable[[str, str], float]
    """Scores a prediction against one gold answer."""

    @property
    def about(self) -> str:
        """What the scorer returns, where it comes from, and how it differs from its source."""
        return cleandoc(self.compare.__doc__ or "")

    def __call__(self, prediction: str, answers: Sequence[str]) -> float:
        """Returns the best score of ``prediction`` over ``answers``."""
        if isinstance(answers, str):
            raise TypeError(f"answers must be a sequence of strings, got the string {answers!r}")
        if not answers:
            raise ValueError("answers must hold at least one gold answer, got none")
        return max(self.compare(prediction, answer) for answer in answers)


def _normalise(text: str) -> str:
    """Returns lower-case words without ASCII punctuation and articles, one space apart.

    Punctuation goes before articles are looked for: "A." is an article then, and "1,000" is "1000".
    """
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION_DELETED)).split())


def _normalise_r1(text: str) -> str:
    """Returns the words as R1-Searcher's script sees them.

    Exactly "True" and "False" become "yes" and "no"; nothing is stripped before. Punctuation, "_"
    and the quotes ‘ ’ ´ ` become spaces: "1,000" gives two words, and "U.S." is "u s".
    """
    text = {"True": "yes", "False": "no"}.get(text, text)
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION_SPACED)).split())


def _bag_f1(prediction: str, gold: str) -> float:
    """Returns the F1 of two bags of words; 0 when they share none, so also when either is empty."""
    predicted, expected = prediction.split(), gold.split()
    common = sum((Counter(predicted) & Counter(expected)).values())
    if common == 0:
        return 0.0
    # The scripts' order of operations, so that not even the last bit differs.
    precision, recall = common / len(predicted), common / len(expected)
    return 2 * precision * recall / (precision + recall)


def _closed_f1(prediction: str, gold: str) -> float:
    """Returns the F1 of two bags of words; "yes", "no", "noanswer" must match."""
    if prediction != gold and not _CLOSED_ANSWERS.isdisjoint((prediction, gold)):
        return 0.0
    return _bag_f1(prediction, gold)


def _em(prediction: str, gold: str) -> float:
    """1.0 if prediction and gold are equal after SQuAD's normalisation, else 0.0.

    Rajpurkar et al. 2016 (SQuAD), section 6.1. Official ``evaluate-v1.1.py``, read in
    huggingface/evaluate, ``metrics/squad/compute_score.py`` at
    b6e7c3b0ed02444f1b3f4f1eb48a39f27af321ec. HotpotQA's, MuSiQue's, 2WikiMultihopQA's and
    Search-R1's EM are the same function.

    Differences: none. Two strings that are empty after normalising are equal: "the" matches "!".
    """
    return float(_normalise(prediction) == _normalise(gold))


def _f1_squad(prediction: str, gold: str) -> float:
    """F1 of the two bags of words after SQuAD's normalisation.

    Rajpurkar et al. 2016 (SQuAD), section 6.1; source as for ``em``.

    Differences: none. Where both sides are empty after normalising, EM is 1 and this F1 is 0.
    """
    return _bag_f1(_normalise(prediction), _normalise(gold))


def _f1_hotpot(prediction: str, gold: str) -> float:
    """As ``f1_squad``, but 0.0 when one side is yes, no or noanswer and the other side differs.

    Yang et al. 2018 (HotpotQA). hotpotqa/hotpot, ``hotpot_evaluate_v1.py`` at
    4c0fa5ea6541391ab86170c2f9c57eb87776ad16.

    Differences:
        1. Several gold answers are allowed (best of them); the script takes one.
        2. Precision and recall, which the script also sums, are not reported.
    """
    return _closed_f1(_normalise(prediction), _normalise(gold))


def _em_musique(prediction: str, gold: str) -> float:
    """1.0 if both are equal after SQuAD's normalisation, else 0.0; best over aliases.

    Trivedi et al. 2022 (MuSiQue). StonyBrookNLP/musique, ``metrics/answer.py`` at
    8b8d8ce102f97f968b259ea587a4482163eed2ff and ``evaluate_v1.0.py`` at
    24cc5b297acc2abfc5fb3d0becb6ef7b73d03717, which passes the answer followed by its aliases.

    Differences:
        1. The script skips unanswerable questions; here that is the caller's task.
    """
    return _em(prediction, gold)


def _f1_musique(prediction: str, gold: str) -> float:
    """As ``f1_squad``, but 1.0 when both sides are empty after normalising.

    Trivedi et al. 2022 (MuSiQue); source and difference as for ``em_musique``. There is no
    special case for yes and no.
    """
    predicted, expected = _normalise(prediction), _normalise(gold)
    return _bag_f1(predicted, expected) if predicted or expected else 1.0


def _em_2wiki(prediction: str, gold: str) -> float:
    """1.0 if both are equal after SQuAD's normalisation, else 0.0; best over aliases.

    Ho et al. 2020 (2WikiMultihopQA). Alab-NII/2wikimultihop,
    ``2wikimultihop_evaluate_v1.1.py`` at 209e761834d1ce055856fc11072c0a5aab47601d.

    Differences:
        1. The script looks up the aliases and demonyms of the record's ``answer_id`` in a second
           file, ``id_aliases.json``. Here they are what the question's ``answers`` hold.
        2. The script rounds the mean to two decimals of a percentage; nothing is rounded here.
    """
    return _em(prediction, gold)


def _f1_2wiki(prediction: str, gold: str) -> float:
    """As ``f1_hotpot``, best over aliases.

    Ho et al. 2020 (2WikiMultihopQA); source and differences as for ``em_2wiki``.
    """
    return _f1_hotpot(prediction, gold)


def _sub_em(prediction: str, gold: str) -> float:
    """1.0 if the normalised gold is a run of characters of the normalised prediction, else 0.

    Jin et al. 2025 (Search-R1), ``subem_check`` in ``verl/utils/reward_score/qa_em.py``. The file
    could not be read in PeterGriffinJin/Search-R1; it was read in the fork Zhuofeng-Li/Search-R1 at
    28e2ac16f3b9d361a75ef9e8e985a73d9845b814. Search-R1's own reward and tables use ``em``.

    Differences: none. Word borders do not count ("83" is in "1832"), and a gold answer that is
    empty after normalising ("The") is in every prediction.
    """
    return float(_normalise(gold) in _normalise(prediction))


def _em_r1(prediction: str, gold: str) -> float:
    """1.0 if prediction and gold are equal after R1-Searcher's normalisation, else 0.0.

    Song et al. 2025 (R1-Searcher, arXiv 2503.05592v2). RUCAIBox/R1-Searcher,
    ``evaluation/metric_calc_rule.py`` at 631167cbb3c2464f805730e3e364a690f5b136d4, by our notes on
    that file and a copy of it elsewhere.

    Differences:
        1. The script scores the first 2,000 rows of a file and rounds means to one decimal of a
           percentage.
    """
    return float(_normalise_r1(prediction) == _normalise_r1(gold))


def _f1_r1(prediction: str, gold: str) -> float:
    """As ``f1_hotpot`` with R1-Searcher's normalisation.

    Source and difference as for ``em_r1``. Where both sides are empty after normalising, EM is 1
    and F1 is 0.
    """
    return _closed_f1(_normalise_r1(prediction), _normalise_r1(gold))


def _cover_em_r1(prediction: str, gold: str) -> float:
    """1.0 if every word of the gold answer is a word of the prediction, else 0.0.

    This is the "Cover-EM" (ACC_R) of R1-Searcher's tables: neither order, nor adjacency, nor how
    often a word occurs counts. Source and difference as for ``em_r1``. A gold answer that is empty
    after normalising is covered only by a prediction that is empty too: the script splits at single
    spaces, which leaves one empty word.
    """
    words = frozenset(_normalise_r1(prediction).split(" "))
    return float(words.issuperset(_normalise_r1(gold).split(" ")))


def _cover_em_2_r1(prediction: str, gold: str) -> float:
    """1.0 if the normalised gold is a run of characters of the normalised prediction, else 0.

    R1-Searcher's script computes it and never prints it: the line that it labels "Cover-EM_2"
    repeats ``cover_em_r1``. Source and difference as for ``em_r1``; as in ``sub_em``, word borders
    do not count and an empty gold is in everything.
    """
    return float(_normalise_r1(gold) in _normalise_r1(prediction))


SCORERS: Mapping[str, Scorer] = MappingProxyType(
    {
        name: Scorer(name, compare)
        for name, compare in (
            ("em", _em),
            ("f1_squad", _f1_squad),
            ("f1_hotpot", _f1_hotpot),
            ("em_musique", _em_musique),
            ("f1_musique", _f1_musique),
            ("em_2wiki", _em_2wiki),
            ("f1_2wiki", _f1_2wiki),
            ("sub_em", _sub_em),
            ("em_r1", _em_r1),
            ("f1_r1", _f1_r1),
            ("cover_em_r1", _cover_em_r1),
            ("cover_em_2_r1", _cover_em_2_r1),
        )
    }
)
"""All scorers by name; read-only."""


def get_scorer(name: str) -> Scorer:
    """Returns the scorer of this name.

    Raises:
        ValueError: there is none; the message names the nearest one.
    """
    try:
        return SCORERS[name]
    except KeyError:
        raise ValueError(f"unknown scorer {name!r}. {did_you_mean(name, SCORERS)}") from None
