"""Traces in R1-Searcher's format, written by hand: each counter, each fault, each edge."""

BQ, EQ = "<|begin_of_query|>", "<|end_of_query|>"
BD, ED = "<|begin_of_documents|>", "<|end_of_documents|>"


def docs(*lines: str) -> str:
    return f"{BD}\n" + "".join(f"({i}){line}\n" for i, line in enumerate(lines, 1)) + f"{ED}\n\n"


def search(query: str, *lines: str) -> str:
    return f" I look it up. {BQ} {query} {EQ}\n\n{docs(*lines)}"


ONE = search("Nile length", "Nile   A river.", "Rhine   Another.", "Po   A third.")
TWO = ONE + search("Rhine length", "Rhine   Shorter.")
END = "So it is. </think> <answer> {} </answer>"
NILE = END.format("Nile")

# (response, gold answer)
TRACES: list[tuple[str, str]] = [
    # whole traces: none, one, two, eight searches; nothing, half, all of the answer right
    (NILE, "Nile"),
    (NILE, "Rhine"),
    (ONE + NILE, "Nile"),
    (ONE + NILE, "Rhine"),
    (TWO + NILE, "Nile"),
    (ONE * 8 + NILE, "Nile"),
    (ONE + END.format("the river Nile"), "Nile"),
    (ONE + END.format("Nile"), "the blue Nile"),
    (ONE + END.format("Nile Nile"), "Nile"),
    (ONE + END.format("White Nile"), "Nile White"),
    (ONE + END.format("NILE."), "nile"),
    (ONE + END.format("the-Nile"), "The Nile"),
    (ONE + END.format("1,000"), "1000"),
    (ONE + END.format("1,000"), "1 000"),
    (ONE + END.format("U.S."), "US"),
    (ONE + END.format("snake_case"), "snake case"),
    (ONE + END.format("‘Nile’"), "Nile"),
    (ONE + END.format("“Nile”"), "Nile"),
    (ONE + END.format("İstanbul"), "istanbul"),
    # closed answers
    (ONE + END.format("yes"), "yes"),
    (ONE + END.format("Yes, it is"), "yes"),
    (ONE + END.format("yes"), "no"),
    (ONE + END.format("True"), "yes"),
    (ONE + END.format("true"), "yes"),
    (ONE + END.format("False"), "no"),
    (ONE + END.format("no"), "False"),
    (ONE + END.format("no"), "no man"),
    (ONE + END.format("noanswer"), "noanswer"),
    (ONE + END.format("noanswer"), "Nile"),
    # empty answers and golds that are empty once they are normalised
    (ONE + END.format(""), "Nile"),
    (ONE + "</think><answer></answer>", "Nile"),
    (ONE + END.format("!"), "the"),
    (ONE + END.format("Nile"), "the"),
    (ONE + END.format("a"), "Nile"),
    # lengths of the answer around the limit
    (ONE + END.format("Nile" + " x" * 8), "Nile"),
    (ONE + END.format("Nile" + " x" * 9), "Nile"),
    (ONE + END.format("Nile" + " x" * 10), "Nile"),
    (ONE + END.format("Nile\nx\tx" + " x" * 8), "Nile"),
    (ONE + END.format("a-b-c-d-e-f-g-h-i-j-k-l"), "a b"),
    (NILE.replace("Nile", "Nile" + " and so on" * 9), "Nile"),
    # answer tags
    (ONE + "So it is. </think> Nile", "Nile"),
    (ONE + "So it is. </think> <answer> Nile", "Nile"),
    (ONE + "So it is. </think> Nile </answer>", "Nile"),
    (ONE + "</think> </answer> Nile <answer>", "Nile"),
    (ONE + "</think> <answer> Rhine </answer> <answer> Nile", "Nile"),
    (ONE + "</think> <answer> Rhine </answer> <answer> Nile </answer>", "Nile"),
    (ONE + "</think> <answer> Nile </answer> <answer> Rhine </answer>", "Nile"),
    (ONE + "</think> <answer> Rhine <answer> Nile </answer>", "Nile"),
    (ONE + "</think> <answer> Nile </answer> </answer>", "Nile"),
    (ONE + "</think> <Answer> Nile </Answer>", "Nile"),
    (ONE + "</think> <answer > Nile </answer>", "Nile"),
    (ONE + NILE + " And on it goes.", "Nile"),
    (ONE + "<answer> Nile </answer> So it is. </think>", "Nile"),
    # think tags
    (ONE + "So it is. <answer> Nile </answer>", "Nile"),
    ("<think>" + ONE + NILE, "Nile"),
    (ONE + "<think> again " + NILE, "Nile"),
    (ONE + "</think> <think> again " + NILE, "Nile"),
    (ONE + "</think> " + NILE, "Nile"),
    ("<think> a </think>" + ONE + NILE, "Nile"),
    (ONE + "</Think> <answer> Nile </answer>", "Nile"),
    ("<think>", "Nile"),
    # nothing at all, and responses that break off
    ("", "Nile"),
    (" ", "Nile"),
    ("I wonder.", "Nile"),
    (f"I look it up. {BQ} Nile", "Nile"),
    (f"I look it up. {BQ} Nile {EQ}", "Nile"),
    (f"I look it up. {BQ} Nile {EQ}\n\n", "Nile"),
    (ONE, "Nile"),
    (ONE.rstrip(), "Nile"),
    (TWO, "Nile"),
    (ONE + f"And {BQ} Rhine", "Nile"),
    # each counter off by one
    (ONE.replace(f"{BD}\n", f"{BD} ") + NILE, "Nile"),  # documents that start on the line
    (ONE.replace(f"{ED}\n\n", f"{ED}\n") + NILE, "Nile"),
    (ONE.replace(f"{ED}\n\n", ED) + NILE, "Nile"),
    (ONE + f" {BQ} " + NILE, "Nile"),
    (ONE + f" {EQ} " + NILE, "Nile"),
    (ONE + f" {BD} " + NILE, "Nile"),
    (ONE + f" {BD}\n " + NILE, "Nile"),
    (ONE + f" {ED} " + NILE, "Nile"),
    (ONE + f" {ED}\n\n " + NILE, "Nile"),
    (ONE.replace("(1)", "(2)") + NILE, "Nile"),
    (ONE.replace("(1)", "") + NILE, "Nile"),
    (ONE.replace("(1)", " (1)") + NILE, "Nile"),
    (ONE.replace(BQ, "") + NILE, "Nile"),
    (ONE.replace(EQ, "") + NILE, "Nile"),
    (ONE.replace(EQ, "<|end_of_query>") + NILE, "Nile"),
    (ONE.replace(BD, "<|begin_of_document|>") + NILE, "Nile"),
    (ONE.replace(ED, "") + NILE, "Nile"),
    (f"{BQ} Nile {EQ}" + NILE, "Nile"),
    (f"{BQ} a {EQ} {BQ} b {EQ}\n\n{docs('x')}" + NILE, "Nile"),
    (f"{BQ} a {BQ} b {EQ}\n\n{docs('x')}" + NILE, "Nile"),
    # a search without results
    (f"{BQ} Nile {EQ}\n\n{BD}\nNone{ED}\n\n" + NILE, "Nile"),
    (ONE + f"{BQ} Nile {EQ}\n\n{BD}\nNone{ED}\n\n" + NILE, "Nile"),
    # documents of the agent's own
    (docs("Nile   Mine.") + NILE, "Nile"),
    (ONE + docs("Nile   Mine.") + NILE, "Nile"),
    (ONE + docs("Nile   Mine.") * 2 + NILE, "Nile"),
    (ONE + search("Nile", "Nile   Mine, and the counters cannot tell.") + NILE, "Nile"),
    (ONE + f"{BD} Nile {ED}" + NILE, "Nile"),
    (f"{ED}\n\n{BD}\n(1){BQ}{EQ}" + NILE, "Nile"),  # equal counters in any order
    # tags inside of documents count
    (search("Nile", f"Nile   {BQ} x {EQ}") + NILE, "Nile"),
    (search("Nile", "Nile   <answer> Rhine </answer>") + NILE, "Nile"),
    (search("Nile", "Nile   </think>") + NILE, "Nile"),
    # tag names inside of the answer
    (ONE + END.format("begin_of_query"), "Nile"),
    (ONE + END.format("Nile begin_of_documents"), "Nile"),
    (ONE + END.format("end_of_query Nile"), "Nile"),
    (ONE + END.format(f"{BQ} Nile {EQ}"), "Nile"),
    (END.format(search("Nile", "Nile   A river.")), "Nile"),
    (ONE + "begin_of_query " + NILE, "Nile"),
    # role words, outside and inside of documents
    (ONE + "Assistant: " + NILE, "Nile"),
    (ONE + "assistants " + NILE, "Nile"),
    (ONE + "ASSISTANT " + NILE, "Nile"),
    (ONE + "the User " + NILE, "Nile"),
    (ONE + END.format("assistant"), "assistant"),
    (search("Nile", "Nile   The assistant of the pilot.") + NILE, "Nile"),
    (search("Nile", "Nile   Assistant Professor.") + NILE, "Nile"),
    (search("the assistant", "Nile   A river.") + NILE, "Nile"),
    # characters of garbled output, outside and inside of documents
    (ONE + "尼罗河 " + NILE, "Nile"),
    (ONE + "一 " + NILE, "Nile"),
    (ONE + "鿿 " + NILE, "Nile"),
    (ONE + "㐀 " + NILE, "Nile"),  # extension A is not looked for
    (ONE + "ナイル川 " + NILE, "Nile"),
    (ONE + "ナイル " + NILE, "Nile"),
    (ONE + END.format("尼罗河"), "尼罗河"),
    (search("Nile", "Nile   尼罗河.") + NILE, "Nile"),
    (search("尼罗河", "Nile   A river.") + NILE, "Nile"),
    (f"{BD} 尼 " + NILE, "Nile"),  # documents that are never closed do not hide anything
    (f"{ED} 尼 {BD}" + NILE, "Nile"),
    (search("Nile", f"Nile   {BD} 尼 {ED} 尼") + NILE, "Nile"),
    # several things at once are charged once
    (docs("x") + "Assistant 尼 <think> " + END.format("Nile" + " x" * 12), "Nile"),
    ("Assistant", "Nile"),
]
