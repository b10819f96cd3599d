"use strict";
const $ = id => document.getElementById(id);
const ROWS_MAX = 200, HISTORY = 150, CARDS_MAX = 10, POLL_MS = 2000, DRAW_MS = 250;
let ja = (localStorage.getItem("language") || navigator.language).startsWith("ja");
let token = sessionStorage.getItem("token") || "", english = {}, waiting = [], paused = false, reader = null, cursor = null;
let samples = [], chosen = null;

const say = key => (ja ? JA[key] : EN[key] || english[key]) || key;
const sentence = reason => (REASONS[reason] || [reason, reason])[ja ? 1 : 0];
function node(name, text, attributes) {
  const made = document.createElement(name);
  if (text !== undefined && text !== null) made.textContent = text;
  for (const key in attributes || {}) made.setAttribute(key, attributes[key]);
  return made;
}
function money(minor, currency) {
  try {
    const format = new Intl.NumberFormat(ja ? "ja" : "en", { style: "currency", currency });
    return format.format(minor / 10 ** format.resolvedOptions().maximumFractionDigits);
  } catch (_) { return minor + " " + currency; }
}
const clock = at => new Date(at).toLocaleTimeString(ja ? "ja" : "en", { hour12: false });
const ns = value => value >= 1e9 ? (value / 1e9).toFixed(2) + " s" : value >= 1e6 ? (value / 1e6).toFixed(1) + " ms" : (value / 1e3).toFixed(1) + " µs";

function translate() {
  document.documentElement.lang = ja ? "ja" : "en";
  for (const each of document.querySelectorAll("[data-t]")) {
    english[each.dataset.t] ||= each.textContent;
    each.textContent = say(each.dataset.t);
  }
  $("language").textContent = ja ? "English" : "日本語";
  $("language").lang = ja ? "en" : "ja";
  for (const option of document.querySelectorAll("#filters [name=reason] option[value]")) if (option.value) option.textContent = sentence(option.value);
  draw(true);
  // What was asked for is told in this language too.
  const shown = document.querySelector("nav [aria-current]").dataset.view;
  if (shown === "links" || shown === "shadow") view(shown);
}

async function ask(path, body) {
  const headers = token ? { authorization: "Bearer " + token } : {};
  if (body) headers["content-type"] = "application/json";
  const answer = await fetch(path, { headers, method: body ? "POST" : "GET", body: body && JSON.stringify(body) });
  if (answer.status === 401) { await login(); return ask(path, body); }
  const told = await answer.json();
  if (!answer.ok) throw new Error(told.detail || told.title || answer.status);
  return told;
}
let entering = null;
function login() {
  return entering ||= new Promise(done => {
    const dialog = $("login");
    dialog.addEventListener("close", () => {
      token = dialog.querySelector("input").value.trim();
      sessionStorage.setItem("token", token);
      entering = null;
      done();
    }, { once: true });
    dialog.showModal();
  });
}

// Live decisions: Server-Sent Events read by hand, because they may need a header.
async function follow() {
  const query = new URLSearchParams();
  for (const [key, value] of new FormData($("filters"))) if (value) query.set(key, value);
  const stop = new AbortController();
  if (reader) reader.abort();
  reader = stop;
  while (reader === stop) {
    try {
      if (cursor) query.set("after", cursor);
      const headers = token ? { authorization: "Bearer " + token } : {};
      const answer = await fetch("/v1/activity/live?" + query, { headers, signal: stop.signal });
      if (answer.status === 401) { await login(); continue; }
      if (!answer.ok) throw new Error(answer.status);
      $("state").textContent = say("connected");
      const pieces = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      let text = "";
      for (;;) {
        const { value, done } = await pieces.read();
        if (done) break;
        text += value;
        const parts = text.split("\n\n");
        text = parts.pop();
        if (reader === stop) parts.forEach(hear);
      }
    } catch (_) { if (reader !== stop) return; }
    $("state").textContent = say("lost");
    await new Promise(done => setTimeout(done, 1000));
  }
}
function hear(piece) {
  const said = {};
  for (const line of piece.split("\n")) {
    const at = line.indexOf(":");
    if (at > 0) said[line.slice(0, at)] = line.slice(at + 1).trim();
  }
  if (said.id) cursor = said.id;
  if (said.event === "behind") $("behind").textContent = JSON.parse(said.data).behind + " " + say("behind");
  if (said.event !== "activity") return;
  const row = JSON.parse(said.data);
  if (!row.decision) return;
  waiting.push(row);
  if (waiting.length > ROWS_MAX) waiting.splice(0, waiting.length - ROWS_MAX);
}
// The table is drawn a few times a second, however many decisions there are.
function flush() {
  if (paused || !waiting.length) return;
  const body = $("rows").tBodies[0], rows = document.createDocumentFragment();
  for (const row of waiting.reverse()) rows.append(line(row));
  waiting = [];
  body.prepend(rows);
  while (body.rows.length > ROWS_MAX) body.lastChild.remove();
}
function line(row) {
  const made = node("tr", null, { tabindex: 0 }), message = row.message, decision = row.decision;
  const cells = [clock(row.at), row.number || "–", message.mti + " " + message.purpose, money(message.amount_minor, message.currency),
    decision.code + " " + (decision.outcome === "declined" ? decision.reason : say(decision.outcome)), message.merchant || ""];
  cells.forEach((text, place) => made.append(node("td", text, place === 3 ? { class: "n" } : place === 4 ? { class: decision.outcome === "declined" ? "bad" : "good" } : {})));
  made.addEventListener("click", () => show(row));
  made.addEventListener("keydown", event => {
    if (event.key === "Enter") show(row);
    const next = event.key === "ArrowDown" ? made.nextSibling : event.key === "ArrowUp" ? made.previousSibling : null;
    if (next) { next.focus(); event.preventDefault(); }
  });
  return made;
}
function list(rows) {
  const made = node("dl");
  for (const [name, text] of rows) if (text !== undefined && text !== null && text !== "") made.append(node("dt", name), node("dd", text));
  return made;
}
function postings(row) {
  return (row.postings || []).map(it => it.ledger + (it.account ? " " + it.account + "/" + it.purse : "") + " " + money(it.minor, it.currency)).join(", ");
}
const holds = row => (row.holds || []).map(it => say("purse") + " " + it.purse + ": " + it.minor).join(", ");
function show(row) {
  chosen = row;
  const box = $("detail"), decision = row.decision;
  box.replaceChildren(node("h2", sentence(decision.reason), { class: decision.outcome === "declined" ? "bad" : "good" }), list([
    [say("code"), decision.code], [say("reason"), decision.reason], [say("evidence"), decision.evidence], [say("approval"), decision.approval],
    [say("number"), row.number], [say("account"), row.account], ["MCC", row.message.mcc], [say("merchant"), row.message.merchant],
    ["STAN / RRN", row.message.stan + " / " + (row.message.rrn || "–")], [say("holds"), holds(row)], [say("postings"), postings(row)], [say("transaction"), row.transaction]]));
  if (row.account) {
    const more = node("button", say("account") + " " + row.account);
    more.addEventListener("click", () => { view("cards"); account(row.account); if (row.transaction) timeline(row.transaction); });
    box.append(more);
  }
}

// Figures: what was counted since the look before.
async function overview() {
  try {
    const told = await ask("/v1/overview");
    samples.push({ at: performance.now(), told });
    if (samples.length > HISTORY) samples.shift();
    if (!document.hidden) draw();
  } catch (_) { $("state").textContent = say("lost"); }
  setTimeout(overview, POLL_MS);
}
const kinds = told => told.links.flatMap(link => link.messages);
const sum = (told, outcome) => kinds(told).reduce((all, kind) => all + (kind.decision === outcome ? kind.count : 0), 0);
function since(seconds) {
  const last = samples[samples.length - 1];
  return samples.find(sample => sample.at >= last.at - seconds * 1000) || last;
}
function draw(isAll) {
  if (samples.length < 2) return;
  const last = samples[samples.length - 1], rates = { approved: [], declined: [] };
  for (let at = 1; at < samples.length; at++) {
    const seconds = (samples[at].at - samples[at - 1].at) / 1000;
    for (const outcome in rates) rates[outcome].push(Math.max(0, sum(samples[at].told, outcome) - sum(samples[at - 1].told, outcome)) / seconds);
  }
  const top = Math.max(1, ...rates.approved, ...rates.declined), chart = $("chart");
  chart.querySelectorAll("path").forEach(path => path.remove());
  for (const [outcome, name] of [["approved", "good"], ["declined", "bad"]]) {
    const points = rates[outcome].map((rate, at) => (600 * at / (HISTORY - 2)).toFixed(1) + " " + (118 - 114 * rate / top).toFixed(1));
    const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
    path.setAttribute("d", "M" + points.join("L"));
    path.setAttribute("class", name);
    chart.append(path);
  }
  $("chart-text").textContent = ["approved", "declined"].map(it => say(it) + " " + rates[it][rates[it].length - 1].toFixed(0) + "/s").join(", ") + " (max " + top.toFixed(0) + ")";
  const before = since(300).told, counts = {};
  for (const [told, sign] of [[last.told, 1], [before, -1]]) for (const kind of kinds(told)) if (kind.decision === "declined") counts[kind.reason] = (counts[kind.reason] || 0) + sign * kind.count;
  const reasons = Object.entries(counts).filter(row => row[1] > 0).sort((a, b) => b[1] - a[1]).slice(0, 8);
  $("reasons").tBodies[0].replaceChildren(...(reasons.length ? reasons : [["", ""]]).map(([reason, count]) => {
    const row = node("tr");
    row.append(node("td", reason ? sentence(reason) : say("none")), node("td", count, { class: "n" }));
    return row;
  }));
  const recent = since(60).told;
  $("steps").tBodies[0].replaceChildren(...last.told.steps.map((name, step) => {
    const row = node("tr");
    row.append(node("th", name, { scope: "row" }), ...[0.5, 0.99, 0.999].map(part => node("td", quantile(last.told, recent, step, part), { class: "n" })));
    return row;
  }));
  $("links").tBodies[0].replaceChildren(...last.told.links.map(link => {
    const row = node("tr");
    row.append(node("th", link.link, { scope: "row" }), ...[link.connections_open + " / " + link.connections_max, link.signed_on, link.in_flight,
      link.messages.reduce((all, kind) => all + kind.count, 0), link.repeats].map(text => node("td", text, { class: "n" })));
    return row;
  }));
  $("queue").textContent = say("queue") + ": " + last.told.queue + " / " + last.told.queue_max;
  if (isAll && chosen) show(chosen);
}
function quantile(last, before, step, part) {
  const counts = new Map();
  for (const [told, sign] of [[last, 1], [before, -1]]) for (const link of told.links) for (const [bound, count] of link.steps[step] || []) counts.set(bound, (counts.get(bound) || 0) + sign * count);
  const rows = [...counts].sort((a, b) => a[0] - b[0]), all = rows.reduce((total, row) => total + row[1], 0);
  let seen = 0;
  for (const [bound, count] of rows) if ((seen += count) >= part * all && all > 0) return ns(bound);
  return "–";
}

// Cards.
async function account(number) {
  const box = $("account");
  $("timeline").replaceChildren();
  try {
    const told = await ask("/v1/accounts/" + number);
    const purses = told.purses.map(it => it.id + " " + money(it.balance, it.currency) + " (" + say("held") + " " + money(it.held, it.currency) + ")").join(", ");
    const table = node("table"), body = node("tbody");
    for (const entry of told.entries) {
      const row = node("tr"), cell = node("td"), more = node("button", entry.id);
      more.addEventListener("click", () => timeline(entry.id));
      cell.append(more);
      row.append(cell, ...[clock(entry.opened_at), entry.purpose, entry.state, money(entry.authorized, entry.currency), entry.merchant].map(text => node("td", text)));
      body.append(row);
    }
    table.append(body);
    box.replaceChildren(node("h2", say("account") + " " + told.id + " · " + told.programme), list([[say("balances"), purses],
      [say("cards"), told.cards.map(it => it.number + " " + it.status).join(", ")], [say("available"), told.purses[0] && money(told.available, told.purses[0].currency)]]), await cardRules(told.cards), node("h2", say("entries")), table);
  } catch (error) { box.replaceChildren(node("p", error.message, { class: "bad" })); }
}
async function timeline(transaction) {
  const box = $("timeline"), steps = node("ol");
  try {
    let after = transaction - 1;
    for (let page = 0; page < 20; page++) {
      const told = await ask("/v1/activity?transaction=" + transaction + "&after=" + after);
      for (const row of told.activity) {
        const what = row.message ? row.message.mti + " " + row.message.purpose + " " + money(row.message.amount_minor, row.message.currency) + ": " + sentence(row.decision.reason) : row.operation;
        const step = node("li", clock(row.at) + "  " + what);
        step.append(list([[say("holds"), holds(row)], [say("postings"), postings(row)]]));
        steps.append(step);
      }
      after = told.next;
      if (!told.behind) break;
    }
    box.replaceChildren(node("h2", say("timeline") + " · " + transaction), steps);
  } catch (error) { box.replaceChildren(node("p", error.message, { class: "bad" })); }
}

// What a card has of its own, beside its programme.
async function cardRules(cards) {
  const box = node("div");
  for (const held of cards.slice(0, CARDS_MAX)) {
    const card = await ask("/v1/cards/" + held.id);
    const amount = (minor, currency) => minor === null ? "–" : money(minor, currency);
    const limit = it => (it.channel + " / " + it.window + ": " + (it.amount_max === null ? "" : amount(it.amount_max, it.currency) + " ") + (it.count_max === null ? "" : "× " + it.count_max + " ") +
      (it.used_minor === null ? "" : "(" + say("used") + " " + amount(it.used_minor, it.currency) + ", × " + it.used_count + ")")).trim();
    const control = it => Object.entries(it).map(([key, value]) => key + "=" + value).join(" ");
    box.append(node("h2", say("number") + " " + card.id + " · " + card.number + " · " + card.status), list([[say("limits"), card.limits.map(limit).join("; ")],
      [say("ownlimits"), card.own_limits.map(limit).join("; ")], [say("owncontrols"), card.own_controls.map(control).join("; ")]]));
  }
  return box;
}

// Sessions: looked at when asked, so that nothing moves under a finger. Who may only read is offered no orders.
async function sessions() {
  try {
    const isViewer = (await ask("/v1/overview")).role === "viewer";
    const told = await ask("/v1/sessions?limit=" + ROWS_MAX);
    $("sessions").tBodies[0].replaceChildren(...told.sessions.map(it => {
      const row = node("tr"), orders = node("td");
      if (!isViewer) orders.append(order("signoff", "/v1/sessions/" + it.session + "/sign-off", it.session), order("drain", "/v1/sessions/" + it.session + "/drain", it.session),
        order("drainlink", "/v1/links/" + encodeURIComponent(it.link) + "/drain", it.link));
      row.append(node("th", it.session, { scope: "row" }), ...[it.link, it.peer, clock(it.since), it.draining ? say("draining") : it.signed_on].map(text => node("td", text)),
        ...[it.in_flight, it.messages_in].map(text => node("td", text, { class: "n" })), orders);
      return row;
    }));
    $("drained").replaceChildren(...(told.drained.length ? [node("h2", say("drained"))] : []), ...told.drained.map(link => {
      const row = node("p", link + " ");
      if (!isViewer) row.append(order("resume", "/v1/links/" + encodeURIComponent(link) + "/resume", link));
      return row;
    }));
  } catch (error) { $("told").textContent = error.message; }
}
function order(word, path, about) {
  const made = node("button", say(word), { "aria-label": say(word) + " " + about });
  made.addEventListener("click", async () => {
    if (!confirm(say(word) + " " + about + ": " + say("sure"))) return;
    try { await ask(path, {}); $("told").textContent = say(word) + " " + about; } catch (error) { $("told").textContent = error.message; }
    sessions();
  });
  return made;
}

// The programme in shadow, if any.
function grid(heads, rows) {
  const made = node("table"), head = node("thead"), line = node("tr"), body = node("tbody");
  line.append(...heads.map(text => node("th", text, { scope: "col" })));
  head.append(line);
  for (const cells of rows) {
    const row = node("tr");
    row.append(...cells.map(text => node("td", text)));
    body.append(row);
  }
  made.append(head, body);
  return made;
}
async function shadow() {
  const box = $("shadow"), shown = [];
  try {
    for (const programme of (await ask("/v1/programmes")).programmes) {
      const it = (await ask("/v1/programmes/" + encodeURIComponent(programme.name) + "/shadow")).shadow;
      if (!it) continue;
      const sums = change => change.sums.map(sum => money(sum.minor, sum.currency)).join(", ");
      const scroll = node("div", null, { class: "scroll", tabindex: 0, role: "region", "aria-label": say("shadow") });
      scroll.append(grid([say("time"), say("record"), say("transaction"), say("number"), say("amount"), say("was"), say("wouldbe"), say("evidence")],
        it.latest.map(row => [clock(row.at), row.sequence, row.trace ?? "–", row.card ?? "–", money(row.minor, row.currency), row.was, row.would_be, row.evidence])));
      shown.push(node("h2", programme.name), list([[say("version"), it.version], [say("judged"), it.decisions], [say("changed"), it.changed], [say("late"), it.behind], [say("stopped"), it.stopped]]),
        grid([say("times"), say("was"), say("wouldbe"), say("amount")], it.changes.map(change => [change.count, sentence(change.was), sentence(change.would_be), sums(change)])), scroll);
    }
    box.replaceChildren(...(shown.length ? shown : [node("p", say("noshadow"))]));
  } catch (error) { box.replaceChildren(node("p", error.message, { class: "bad" })); }
}

function view(name) {
  if (name === "links") sessions();
  if (name === "shadow") shadow();
  for (const section of document.querySelectorAll("main > section")) section.hidden = section.id !== "view-" + name;
  for (const tab of document.querySelectorAll("nav button")) {
    if (tab.dataset.view === name) tab.setAttribute("aria-current", "page"); else tab.removeAttribute("aria-current");
  }
}
addEventListener("DOMContentLoaded", () => {
  for (const reason in REASONS) $("filters").elements.reason.append(node("option", sentence(reason), { value: reason }));
  translate();
  for (const tab of document.querySelectorAll("nav button")) tab.addEventListener("click", () => view(tab.dataset.view));
  $("language").addEventListener("click", () => { ja = !ja; localStorage.setItem("language", ja ? "ja" : "en"); translate(); });
  $("filters").addEventListener("submit", event => { event.preventDefault(); $("rows").tBodies[0].replaceChildren(); waiting = []; cursor = null; follow(); });
  $("pause").addEventListener("click", event => { paused = !paused; event.target.setAttribute("aria-pressed", paused); });
  $("lookup").addEventListener("submit", async event => {
    event.preventDefault();
    const asked = event.target.elements.asked.value.replaceAll(" ", "");
    try { account(asked.length < 12 ? asked : (await ask("/v1/cards/lookup", { pan: asked })).account); }
    catch (error) { $("account").replaceChildren(node("p", error.message, { class: "bad" })); }
  });
  $("send").addEventListener("submit", async event => {
    event.preventDefault();
    const form = event.target.elements;
    try {
      const told = await ask("/v1/test-message", { door: form.door.value, pan: form.pan.value, kind: form.kind.value, minor: Number(form.minor.value), mcc: form.mcc.value });
      $("answer").textContent = told.sent + "\n" + told.answer;
    } catch (error) { $("answer").textContent = error.message; }
  });
  ask("/v1/test-message").then(told => { for (const door of told.doors) $("send").elements.door.append(node("option", door, { value: door })); }).catch(() => { $("send").querySelector("button").disabled = true; });
  addEventListener("keydown", event => {
    if (event.altKey && "12345".includes(event.key)) document.querySelectorAll("nav button")[event.key - 1].click();
  });
  $("look").addEventListener("click", () => { $("told").textContent = ""; sessions(); });
  $("judge").addEventListener("click", shadow);
  setInterval(flush, DRAW_MS);
  follow();
  overview();
});
