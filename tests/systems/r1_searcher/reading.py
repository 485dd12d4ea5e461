"""A second reading of how R1-Searcher's released servers score, as plain as possible.

Written from our notes on commit 631167c, without looking at ``searchenv``; it shares no line with
the package. Golden traces must score alike in both.
"""

import string

DROPPED = string.punctuation.replace("_", "") + "‘’´`_"


def words_of(text: str) -> list[str]:
    if text == "True":
        text = "yes"
    if text == "False":
        text = "no"
    plain = ""
    for letter in text.lower():
        plain += " " if letter in DROPPED else letter
    return [word for word in plain.split() if word not in ("a", "an", "the")]


def f1(prediction: str, gold: str) -> float:
    said, wanted = words_of(prediction), words_of(gold)
    for closed in (["yes"], ["no"], ["noanswer"]):
        if (said == closed) != (wanted == closed):
            return 0.0
    left, same = list(wanted), 0
    for word in said:
        if word in left:
            left.remove(word)
            same += 1
    return 2 * same / (len(said) + len(wanted)) if same else 0.0


def covers(prediction: str, gold: str) -> bool:
    said, wanted = words_of(prediction), words_of(gold)
    if not wanted:
        return not said
    return all(word in said for word in wanted)


def without_documents(text: str) -> str:
    kept = ""
    while True:
        start = text.find("<|begin_of_documents|>")
        stop = text.find("<|end_of_documents|>", start)
        if start < 0 or stop < 0:
            return kept + text
        kept += text[:start]
        text = text[stop + len("<|end_of_documents|>") :]


def counts_of(solution: str) -> list[int]:
    c1 = len(solution.split("<|begin_of_documents|>\n")) - 1
    c2 = len(solution.split("<|end_of_documents|>\n\n")) - 1
    c3 = len(solution.split("<|begin_of_query|>")) - 1
    c4 = len(solution.split("<|end_of_query|>")) - 1
    c5 = len(solution.split("<|begin_of_documents|>")) - 1
    c6 = len(solution.split("<|end_of_documents|>")) - 1
    c7 = len(solution.split("<|begin_of_documents|>\n(1)")) - 1
    return [c1, c2, c3, c4, c5, c6, c7]


def tags_are_whole(solution: str) -> bool:
    pieces = [len(solution.split(tag)) for tag in ("</think>", "<answer>", "</answer>")]
    return "<think>" not in solution and pieces == [2, 2, 2]


def prediction_of(solution: str) -> str:
    after = solution.split("<answer>")[-1]
    return after.split("</answer>")[0].strip()


def is_wrong(server: str, solution: str) -> bool:
    counts, prediction = counts_of(solution), prediction_of(solution)
    if min(counts) != max(counts) or not tags_are_whole(solution):
        return True
    if any(0x4E00 <= ord(letter) <= 0x9FFF for letter in without_documents(solution)):
        return True
    if server == "llama_2":
        return False
    if "Assistant" in solution or "assistant" in solution:
        return True
    if "begin_of_query" in prediction or "begin_of_documents" in prediction:
        return True
    return len(prediction.split()) > 10


def score(server: str, response: str, gold: str) -> float:
    """Returns what a server pays: ``llama_1``, ``llama_2`` or ``qwen``."""
    solution = response + ("<|endoftext|>" if server == "qwen" else "<|eot_id|>")
    prediction = prediction_of(solution)
    finished = "<answer>" in solution and "</answer>" in solution
    if server == "llama_1":
        counts = counts_of(solution)
        total = 1.0 if finished and covers(prediction, gold) else -1.0
        if min(counts) == max(counts) and counts[0] > 0:
            total += 0.5
        return total + 0.5 if tags_are_whole(solution) else total
    total = f1(prediction, gold) if finished else 0.0
    if is_wrong(server, solution):
        total -= 2 if server == "qwen" else 1
    return total
