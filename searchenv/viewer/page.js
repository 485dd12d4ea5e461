"use strict";
// State lives in the part of the address after "#", so that every view has a link.
const run = JSON.parse(document.getElementById("run").textContent);
const records = run.records;
const scorers = [...new Set(records.flatMap((record) => Object.keys(record.scores)))];

/* Makes an element; children are elements or strings, and strings become text, never markup. */
function el(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null) element.setAttribute(name, value);
  }
  element.append(...children.flat(9).filter((child) => child !== null && child !== false));
  return element;
}

const round = (value) => String(Math.round(value * 1000) / 1000);
const plural = (n, word) => `${n} ${word}${n === 1 ? "" : "s"}`;
const state = () => new URLSearchParams(location.hash.slice(1));
const scorer = () => state().get("scorer") || scorers[0];

function link(changes) {
  const next = state();
  for (const [name, value] of Object.entries(changes)) {
    if (value === "" || value === null) next.delete(name);
    else next.set(name, value);
  }
  return "#" + next;
}

function verdict(record) {
  if (record.failed) return "failed";
  const value = record.scores[scorer()];
  if (value === undefined) return "unscored";
  return value >= 1 ? "right" : value > 0 ? "partly" : "wrong";
}

/* The filters: what each is called, and what it reads in a record. */
const FILTERS = {
  verdict: ["Verdict", verdict],
  type: ["Type", (record) => record.question.metadata.type],
  hops: ["Hops", (record) => record.question.metadata.hops],
  stop: ["Ended by", (record) => record.stop],
};
for (const judge of run.judges) {
  FILTERS[`judge_${judge}`] = [`Judge ${judge}`, (record) => (record.judges[judge] || [])[0]];
}

function words(record) {
  const queries = record.turns.flatMap((turn) => (turn.act || []).map((call) => call.query));
  const { id, text, answers } = record.question;
  return [id, text, record.answer || "", ...answers, ...queries].join("\n").toLowerCase();
}

function chosen() {
  const wanted = state();
  const text = (wanted.get("text") || "").toLowerCase();
  return records.filter(
    (record) =>
      Object.entries(FILTERS).every(
        ([name, [, read]]) => !wanted.get(name) || String(read(record)) === wanted.get(name)
      ) && (!text || words(record).includes(text))
  );
}

function summary() {
  const { header } = run;
  const policy = (header.policy && header.policy.name) || "run";
  const protocol = (header.protocol && header.protocol.name) || "";
  const failed = records.filter((record) => record.failed).length;
  return el(
    "header",
    {},
    el("h1", {}, policy, " on ", header.name || "questions"),
    el("p", { class: "quiet" }, `protocol ${protocol}`, ` · ${plural(records.length, "episode")}`,
      failed ? ` · ${failed} failed, which score 0` : ""),
    !run.complete && el("p", { class: "warning", id: "partial", role: "status" },
      `This run is not whole: ${records.length} of ${run.planned} episodes have been played.`),
    el("dl", { class: "means" }, run.means.map(([name, mean, low, high, n]) =>
      el("div", {}, el("dt", {}, name), el("dd", {}, mean.toFixed(3),
        el("small", {}, `${low.toFixed(3)} to ${high.toFixed(3)}, n=${n}`))))),
    el("details", {}, el("summary", {}, "How it was run"),
      el("pre", {}, JSON.stringify(header, null, 2)))
  );
}

function choice(name, label, values, any) {
  const options = values.map((value) => el("option", { value }, String(value)));
  const select = el("select", { name, id: `filter-${name}` },
    any && el("option", { value: "" }, "all"), options);
  select.addEventListener("change", () => location.replace(link({ [name]: select.value })));
  return el("label", {}, label, select);
}

function filters() {
  const text = el("input", { type: "search", name: "text", id: "filter-text",
    placeholder: "question, answer, query" });
  text.addEventListener("input", () => location.replace(link({ text: text.value })));
  const selects = Object.entries(FILTERS).map(([name, [label, read]]) => {
    const known = records.map(read).filter((value) => value !== undefined && value !== null);
    const values = name === "verdict"
      ? ["right", "partly", "wrong", "failed", ...(run.judges.length ? ["unscored"] : [])]
      : [...new Set(known)].sort((a, b) => (a < b ? -1 : 1));
    return values.length > 1 && choice(name, label, values, true);
  });
  const scored = scorers.length > 1 && choice("scorer", "Scored by", scorers, false);
  return el("form", { class: "filters" }, el("label", { class: "wide" }, "Text", text), selects,
    scored);
}

function badge(record) {
  const value = verdict(record);
  return el("span", { class: `badge ${value}` }, value);
}

function rows(found, open) {
  return found.map((record) => {
    const here = record === open;
    const sample = record.sample ? ` · sample ${record.sample}` : "";
    return el("li", {}, el("a", {
      href: link({ id: record.id, sample: record.sample }), "aria-current": here && "true" },
      el("span", { class: "title" }, record.question.text), badge(record),
      el("span", { class: "quiet" }, record.id + sample,
        (record.untold || []).includes("turns") ? "" : ` · ${plural(record.turns.length, "turn")}`,
        ` · ${record.stop}`)));
  });
}

function isGold(record, id) {
  return record.question.gold.some((gold) => gold.ids.includes(id));
}

function passage(record, [id, title, text, score, rank]) {
  const gold = isGold(record, id);
  return el("details", { class: gold ? "passage gold" : "passage", open: gold },
    el("summary", {}, `${rank}. ${title || id}`, gold && [" ", el("span", { class: "mark" }, "gold")], " ",
      el("span", { class: "quiet" }, `${id} · ${round(score)}`)),
    el("p", { class: "text" }, text));
}

function moved(record, turn) {
  if (turn.invalid !== undefined) {
    return el("p", { class: "fault" }, `Invalid move: ${turn.invalid}`,
      turn.detail && ` (${turn.detail})`);
  }
  if (turn.act === undefined) return null;
  return turn.act.map((call, i) => {
    const hits = turn.hits[i];
    return el("div", { class: "call" },
      el("p", {}, el("span", { class: "tool" }, call.tool), el("q", {}, call.query),
        call.image && ` with image ${call.image}`),
      hits === undefined
        ? el("p", { class: "quiet" }, "No result: the call was refused or it failed.")
        : hits.length
          ? hits.map((hit) => passage(record, hit))
          : el("p", { class: "quiet" }, "No passages."));
  });
}

function segment([source, text, trained], label) {
  const body = el("div", { class: trained ? "text trained" : "text" }, text);
  const name = label + (trained ? " · trained" : "");
  if (source === "agent") {
    return el("div", { class: "segment agent" }, el("p", { class: "label" }, name), body);
  }
  return el("details", { class: `segment ${source}`, open: trained },
    el("summary", { class: "label" }, name), body);
}

const LABELS = { prompt: "Prompt", environment: "As the agent read it", template: "Template" };

/* All segments in their order; each move is followed by what its calls found. Imported episodes may
   have moves whose texts are not known. */
function conversation(record) {
  let turn = -1;
  const parts = record.segments.map((part) => {
    if (part[0] !== "agent") return segment(part, LABELS[part[0]]);
    turn += 1;
    return [segment(part, `Agent, turn ${turn + 1}`),
      record.turns[turn] && moved(record, record.turns[turn])];
  });
  return [...parts, ...record.turns.slice(turn + 1).map((each) => moved(record, each))];
}

function table(name, values, total) {
  const lines = Object.entries(values).map(([key, value]) =>
    el("tr", {}, el("th", { scope: "row" }, key), el("td", {}, round(value))));
  const sum = Object.values(values).reduce((a, b) => a + b, 0);
  if (total && lines.length) {
    lines.push(el("tr", { class: "total" }, el("th", { scope: "row" }, "reward"),
      el("td", {}, round(sum))));
  }
  return el("table", { class: name.toLowerCase() }, el("caption", {}, name),
    el("tbody", {}, lines.length ? lines : el("tr", {}, el("td", {}, "none"))));
}

function goldList(record) {
  const { gold } = record.question;
  const found = new Set(record.turns.flatMap((turn) => turn.hits.flat().map((hit) => hit[0])));
  return gold.length > 0 && el("div", { class: "box" }, el("h3", {}, "Gold passages"),
    el("ul", { class: "plain" }, gold.map(({ title, ids }) =>
      el("li", {}, title || ids.join(", "), el("span", { class: "quiet" },
        ids.some((id) => found.has(id)) ? " found" : " not found")))));
}

function judgeList(record) {
  const judges = Object.entries(record.judges);
  return judges.length > 0 && el("div", { class: "box judges" }, el("h3", {}, "Judges"),
    judges.map(([name, [ruling, reply]]) => el("div", {},
      el("p", {}, el("span", { class: "tool" }, name),
        el("span", { class: `badge ${ruling}` }, ruling)),
      reply && el("p", { class: "text" }, reply))));
}

function episode(record, found) {
  const at = found.indexOf(record);
  const step = (to, label) => found[to] && at >= 0
    ? el("a", { href: link({ id: found[to].id, sample: found[to].sample }) }, label)
    : el("span", { class: "quiet" }, label);
  const { question } = record;
  return el("article", {},
    el("nav", {}, el("a", { href: link({ id: "", sample: "" }), class: "back" }, "All episodes"),
      step(at - 1, "Previous"), step(at + 1, "Next")),
    el("p", { class: "quiet" }, badge(record), ` ${record.id}`, ` · sample ${record.sample}`,
      ` · ended by ${record.stop}`),
    el("h2", {}, question.text),
    record.error && el("p", { class: "warning" }, record.error),
    el("div", { class: "pair" },
      el("div", { class: "box" }, el("h3", {}, "Answer"),
        el("p", { id: "answer" }, record.answer === null ? "none" : record.answer)),
      el("div", { class: "box" }, el("h3", {}, "Gold answer"),
        el("p", { id: "gold" }, question.answers.join(" · ")))),
    el("div", { class: "pair" }, goldList(record),
      el("div", { class: "box tables" }, table("Scores", record.scores),
        table("Reward", record.terms, true))),
    judgeList(record),
    el("h3", {}, "Conversation"), conversation(record));
}

const list = el("ul", { class: "rows" });
const count = el("p", { class: "quiet", id: "count", role: "status" });
const reader = el("main", {});
let shown;

function render() {
  const wanted = state();
  for (const input of document.querySelectorAll(".filters [name]")) {
    const value = wanted.get(input.name) || (input.name === "scorer" ? scorers[0] : "");
    if (input.value !== value) input.value = value;
  }
  const found = chosen();
  const open = records.find((record) => record.id === wanted.get("id")
    && String(record.sample) === (wanted.get("sample") || "0"));
  count.textContent = `${found.length} of ${plural(records.length, "episode")}`;
  list.replaceChildren(...rows(found, open));
  document.body.classList.toggle("reading", wanted.has("id"));
  const missing = wanted.has("id") ? `No episode ${wanted.get("id")} in this run.`
    : "Choose an episode to read it.";
  reader.replaceChildren(open ? episode(open, found) : el("p", { class: "empty" }, missing,
    wanted.has("id") && el("a", { href: link({ id: "", sample: "" }), class: "back" },
      "All episodes")));
  if (open !== shown) window.scrollTo(0, 0);
  shown = open;
}

document.body.append(summary(),
  el("div", { class: "columns" }, el("aside", {}, filters(), count, list), reader));
for (const form of document.forms) form.addEventListener("submit", (event) => event.preventDefault());
window.addEventListener("hashchange", render);
render();
