// The live table. One streaming response brings everything, a JSON object a line: what the server is, the rows of the
// table once a second, and events as they happen, as the control socket tells them (docs/control.md). Texts of the server
// are only ever set as text.

const LIVE = "live";
const SPAN_MS = 5 * 60 * 1000; // of the lanes, at most
const SPAN_LEAST_MS = 20 * 1000;
const LANES_MAX = 12;
const GAPS_MAX = 80;
const MOVES_MAX = 30;
const RETRY_MS = [500, 1000, 2000, 5000];
const CALM = matchMedia("(prefers-reduced-motion: reduce)");
const SVG = "http://www.w3.org/2000/svg";

const $ = (id) => document.getElementById(id);

// ---- Texts

const number = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });

function scaled(value, units, step) {
  let i = 0;
  while (value >= step && i < units.length - 1) {
    value /= step;
    i++;
  }
  return [number.format(value >= 100 ? Math.round(value) : value), units[i]];
}

const octets = (n) => scaled(n, ["B", "kB", "MB", "GB", "TB"], 1000);
const count = (n) => scaled(n, ["", "k", "M", "G"], 1000);
const shortened = (text, most) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);
const joined = ([value, unit]) => (unit ? `${value} ${unit}` : value);

function span(ms) {
  if (ms === undefined) return "";
  if (ms < 1) return `${Math.max(1, Math.round(ms * 1000))} µs`;
  if (ms < 1000) return `${number.format(ms < 10 ? ms : Math.round(ms))} ms`;
  const seconds = ms / 1000;
  if (seconds < 60) return `${number.format(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${Math.floor(seconds % 60)} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
}

function median(values) {
  if (values.length === 0) return undefined;
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)];
}

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function drawn(name, attributes = {}, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

// An address keeps its hue, wherever it is shown.
function hue(address) {
  let hash = 0;
  for (const letter of address) hash = (hash * 31 + letter.codePointAt(0)) >>> 0;
  return `hsl(${(hash * 137) % 360} 58% 48%)`;
}

// ---- What is known

const connections = new Map(); // by id: { row, places: [{ address, since }], closed }
const moves = []; // the newest first
const gaps = [];
let total = 0;
let coming = []; // rows of the table that is on its way
let traffic = null; // what the totals were before, for rates
let sorting = { column: "last_move", ascending: true };

// Where the client is: what it claims, until that is proven or taken back.
function place(row) {
  return row.claimed ?? row.address ?? "";
}

const COLUMNS = [
  { key: "cid", title: "Connection ID", text: (row) => row.cid, value: (row) => row.cid },
  { key: "address", title: "Client", text: place, value: place },
  { key: "state", title: "State", text: (row) => row.state, value: (row) => row.state },
  { key: "alpn", title: "ALPN", wide: true, text: (row) => row.alpn, value: (row) => row.alpn },
  { key: "age", title: "Age", amount: true, wide: true, text: (row) => span(row.age_ms), value: (row) => row.age_ms },
  { key: "rtt", title: "RTT", amount: true, text: (row) => span(row.rtt_ms), value: (row) => row.rtt_ms ?? 0 },
  { key: "window", title: "Window", amount: true, wide: true, text: (row) => joined(octets(row.window)), value: (row) => row.window },
  { key: "in", title: "In", amount: true, text: (row) => joined(octets(row.in)), value: (row) => row.in },
  { key: "out", title: "Out", amount: true, text: (row) => joined(octets(row.out)), value: (row) => row.out },
  { key: "paths", title: "Paths", amount: true, wide: true, text: (row) => String(row.paths), value: (row) => row.paths },
  { key: "moves", title: "Moves", amount: true, text: (row) => String(row.moves), value: (row) => row.moves },
  { key: "last_move", title: "Last move", amount: true,
    text: (row) => (row.last_move_ms === undefined ? "–" : row.last_move_ms < 100 ? "now" : `${span(row.last_move_ms)} ago`),
    value: (row) => row.last_move_ms ?? Infinity },
  { key: "gap", title: "Gap", amount: true, text: (row) => (row.gap_ms ? span(row.gap_ms) : "–"), value: (row) => row.gap_ms ?? -1 },
];

// ---- The table

function drawColumns() {
  $("columns").replaceChildren(...COLUMNS.map((column) => {
    const button = element("button", { type: "button" }, column.title);
    button.addEventListener("click", () => {
      const same = sorting.column === column.key;
      sorting = { column: column.key, ascending: same ? !sorting.ascending : !column.amount || column.key === "last_move" };
      drawColumns();
      drawRows();
    });
    const classes = [column.amount && "amount", column.wide && "wide"].filter(Boolean).join(" ");
    const header = element("th", { scope: "col", class: classes }, button);
    if (sorting.column === column.key) header.setAttribute("aria-sort", sorting.ascending ? "ascending" : "descending");
    return header;
  }));
}

function makeRow(id) {
  const line = element("tr", { "data-id": id });
  for (const column of COLUMNS) {
    const classes = [column.key, column.amount && "amount", column.wide && "wide"].filter(Boolean).join(" ");
    line.append(element("td", { class: classes, "data-label": column.title }));
  }
  line.firstChild.append(element("button", { type: "button", "aria-haspopup": "dialog" }));
  line.addEventListener("click", () => showDetail(id));
  return line;
}

function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function fillRow(known) {
  const { row, line } = known;
  COLUMNS.forEach((column, i) => {
    const cell = line.children[i];
    const text = column.text(row);
    if (column.key === "cid") {
      setText(cell.firstChild, text);
    } else if (column.key === "state") {
      if (cell.firstChild === null) cell.append(element("span", { class: "dot" }));
      cell.firstChild.dataset.state = text;
      setText(cell.firstChild, text);
    } else if (column.key === "address") {
      const before = known.places.at(-2);
      const recent = before !== undefined && before.address !== text && row.last_move_ms !== undefined && row.last_move_ms < 15000;
      const wanted = recent ? `${before.address}\n${text}` : text;
      if (cell.dataset.shown === wanted) return;
      cell.dataset.shown = wanted;
      cell.replaceChildren(element("span", {}, ...(recent ? [element("s", {}, before.address)] : []), text));
    } else {
      setText(cell, text);
    }
  });
}

function shownRows() {
  const wanted = $("filter").value.trim().toLowerCase();
  const column = COLUMNS.find((one) => one.key === sorting.column);
  const shown = [...connections.values()].filter(({ row, closed }) => !closed && (wanted === "" ||
    [row.cid, row.address, row.claimed, row.alpn, row.state].some((text) => text?.toLowerCase().includes(wanted))));
  shown.sort((a, b) => {
    const [one, other] = [column.value(a.row), column.value(b.row)];
    const order = one < other ? -1 : one > other ? 1 : a.row.id < b.row.id ? -1 : 1;
    return sorting.ascending ? order : -order;
  });
  return shown;
}

// As few lines as possible are taken out: what stays keeps the focus, and goes on with what moves in it.
function arrange(body, lines) {
  const wanted = new Set(lines);
  for (const line of [...body.children]) if (!wanted.has(line)) line.remove();
  lines.forEach((line, i) => {
    const there = body.children[i];
    if (line === there) return;
    const focused = line.contains(document.activeElement) ? document.activeElement : null;
    body.insertBefore(line, there ?? null);
    focused?.focus();
  });
}

// A row that finds itself elsewhere glides there.
function drawRows() {
  const body = $("rows");
  const before = new Map([...body.children].map((line) => [line, line.getBoundingClientRect().top]));
  const shown = shownRows();
  for (const known of shown) {
    known.line ??= makeRow(known.row.id);
    fillRow(known);
  }
  const lines = shown.map((known) => known.line);
  if (lines.length !== body.children.length || lines.some((line, i) => line !== body.children[i])) {
    arrange(body, lines);
    if (!CALM.matches)
      for (const line of lines) {
        const by = (before.get(line) ?? NaN) - line.getBoundingClientRect().top;
        if (by) line.animate([{ transform: `translateY(${by}px)` }, { transform: "none" }], { duration: 450, easing: "ease-in-out" });
      }
  }
  $("empty").hidden = lines.length > 0;
  $("empty").textContent = total > 0 ? "No connection is like that." : "No connection.";
  $("more").hidden = total <= connections.size;
  $("more").textContent = `${joined(count(total))} connections; these are the ${connections.size} that moved last.`;
}

function flash({ line }) {
  if (line === undefined) return;
  const colour = getComputedStyle(line).getPropertyValue("--flash");
  line.animate([{ background: colour }, { background: colour, offset: 0.3 }, { background: "transparent" }], { duration: 2600 });
}

// ---- Addresses over time

function drawLanes(now) {
  const known = [...connections.values()].filter(({ places }) => places.length > 0)
    .sort((a, b) => (b.places.at(-1).since - a.places.at(-1).since) || (a.row.id < b.row.id ? -1 : 1)).slice(0, LANES_MAX);
  const box = $("lanes");
  if (known.length === 0) {
    box.replaceChildren(element("p", { class: "quiet" }, "Nothing yet."));
    return;
  }
  const width = Math.max(box.clientWidth, 300), left = width < 480 ? 92 : 150, height = 30 * known.length + 26;
  const chart = drawn("svg", { class: "chart", viewBox: `0 0 ${width} ${height}`, role: "img",
    "aria-label": `The addresses of ${known.length} connections over time` });
  const oldest = Math.min(...known.map(({ places }) => places[0].since));
  const shown = Math.min(Math.max(1.05 * (now - oldest), SPAN_LEAST_MS), SPAN_MS);
  const x = (time) => left + (width - left - 12) * Math.max(0, 1 - (now - time) / shown);
  const steps = width < 480 ? 2 : 5;
  for (let step = 0; step <= steps; step++) {
    const ago = shown * step / steps, at = x(now - ago);
    chart.append(drawn("line", { class: "grid", x1: at, x2: at, y1: 4, y2: height - 20 }),
      drawn("text", { x: at, y: height - 6, "text-anchor": "middle" }, step === 0 ? "now" :
        ago < 120000 ? `−${Math.round(ago / 1000)} s` : `−${number.format(ago / 60000)} min`));
  }
  known.forEach(({ row, places, closed }, i) => {
    const y = 20 + 30 * i;
    chart.append(drawn("text", { class: "cid", x: 0, y: y + 4 }, shortened(row.cid, width < 480 ? 10 : 17)));
    places.forEach((stay, n) => {
      const until = places[n + 1]?.since ?? closed ?? now;
      if (until < now - shown) return;
      const lane = drawn("line", { class: "lane", x1: x(stay.since) + 5, x2: Math.max(x(until) - 5, x(stay.since) + 5), y1: y, y2: y,
        stroke: hue(stay.address) });
      lane.append(drawn("title", {}, `${stay.address}, for ${span(until - stay.since)}`));
      chart.append(lane);
      if (n > 0 && stay.since > now - shown) {
        const hop = drawn("circle", { class: "hop", cx: x(stay.since), cy: y, r: 5 });
        hop.append(drawn("title", {}, `to ${stay.address}`));
        chart.append(hop);
      }
    });
    const newest = places.at(-1);
    if (x(closed ?? now) - x(newest.since) > 170)
      chart.append(drawn("text", { x: x(newest.since) + 8, y: y - 8 }, newest.address));
  });
  box.replaceChildren(chart);
}

// ---- Gaps

function drawGaps() {
  const box = $("gaps");
  if (gaps.length === 0) {
    box.replaceChildren(element("p", { class: "quiet" }, "No move is settled yet."));
    return;
  }
  const width = Math.max(box.clientWidth, 260), height = 290, left = 52, bottom = 22;
  const chart = drawn("svg", { class: "chart", viewBox: `0 0 ${width} ${height}`, role: "img",
    "aria-label": `The gaps of the ${gaps.length} newest moves, the median ${span(median(gaps.map(({ gap }) => gap)))}` });
  const y = (gap) => (height - bottom) * (1 - Math.log10(Math.min(Math.max(gap, 0.1), 10000) / 0.1) / 5) + 4;
  for (const tick of [0.1, 1, 10, 100, 1000, 10000])
    chart.append(drawn("line", { class: "grid", x1: left, x2: width, y1: y(tick), y2: y(tick) }),
      drawn("text", { x: left - 8, y: y(tick) + 4, "text-anchor": "end" }, span(tick)));
  gaps.forEach(({ gap, from, to, reverted }, i) => {
    const at = drawn("circle", { class: reverted ? "gap open" : "gap", cx: left + 8 + (i + 0.5) * (width - left - 16) / Math.max(gaps.length, 24),
      cy: y(gap), r: 4.5 });
    at.append(drawn("title", {}, `${span(gap)}: ${from} to ${to}${reverted ? ", taken back" : ""}`));
    chart.append(at);
  });
  const middle = median(gaps.map(({ gap }) => gap));
  chart.append(drawn("line", { class: "median", x1: left, x2: width, y1: y(middle), y2: y(middle) }),
    drawn("text", { x: left, y: height - 4 }, "the older"), drawn("text", { x: width, y: height - 4, "text-anchor": "end" }, "the newest"));
  box.replaceChildren(chart);
  $("gaps-summary").textContent = `median ${span(middle)} of ${gaps.length}`;
}

// ---- Moves

function drawMoves() {
  $("no-moves").hidden = moves.length > 0;
  $("moves").replaceChildren(...moves.map((move) => element("li", {},
    element("time", { datetime: new Date(move.time).toISOString() }, new Date(move.time).toLocaleTimeString("en-GB")),
    element("span", { class: "mono" }, shortened(move.cid, 16)),
    element("span", { class: "places" }, `${move.from} → ${move.to}`),
    element("span", {}, move.reverted ? "taken back" : move.gap === undefined ? "under way" : `gap ${span(move.gap)}`))));
}

function announce(text) {
  const box = $("announcer");
  if (performance.now() - (announce.last ?? -1e9) < 4000) return;
  announce.last = performance.now();
  box.textContent = text;
}

// ---- One connection

async function showDetail(id) {
  const known = connections.get(id);
  if (known === undefined) return;
  $("detail-title").textContent = known.row.cid;
  $("detail-body").replaceChildren(element("p", { class: "quiet" }, "…"));
  if (!$("detail").open) $("detail").showModal();
  try {
    const response = await fetch(`connection/${encodeURIComponent(known.row.cid)}`, { headers: credentials(), cache: "no-store" });
    if (!response.ok) throw new Error(response.status === 404 ? "This connection is over." : `The server says ${response.status}.`);
    drawDetail(await response.json());
  } catch (error) {
    $("detail-body").replaceChildren(element("p", { class: "quiet" }, String(error.message ?? error)));
  }
}

function tableOf(titles, rows) {
  return element("div", { class: "scroll" }, element("table", {},
    element("thead", {}, element("tr", {}, ...titles.map((title) => element("th", { scope: "col" }, title)))),
    element("tbody", {}, ...rows.map((row) => element("tr", {}, ...row.map((text, i) => element("td", { "data-label": titles[i] }, text)))))));
}

function drawDetail(detail) {
  const facts = { Client: detail.address ?? detail.claimed, State: detail.state, ALPN: detail.alpn, Cipher: detail.stats.cipher,
    Age: span(detail.age_ms), RTT: span(detail.rtt_ms), Moves: String(detail.moves), "Packets lost": String(detail.stats.packets_lost),
    "Sent again": joined(octets(detail.stats.stream_bytes_resent)), Resumed: detail.stats.resumed ? "yes" : "no" };
  $("detail-body").replaceChildren(
    element("dl", { class: "facts" }, ...Object.entries(facts).map(([name, text]) => element("div", {}, element("dt", {}, name), element("dd", {}, text ?? "–")))),
    element("h3", {}, "Paths"),
    tableOf(["Client", "State", "RTT", "Window", "In", "Out", "Datagrams"], detail.paths.map((path) => [
      `${path.active ? "● " : ""}${path.remote}`, path.state, span(path.rtt_ms), joined(octets(path.window)), joined(octets(path.in)),
      joined(octets(path.out)), `${path.datagram_bytes} B`])),
    element("h3", {}, "Newest moves"),
    detail.newest_moves.length === 0 ? element("p", { class: "quiet" }, "None.") :
      tableOf(["Ago", "From", "To", "Gap", "Proven after", "Sent again"], detail.newest_moves.map((move) => [
        span(move.ago_ms), move.from ?? "", move.to ?? "", move.settled ? span(move.gap_ms) : "–", move.validated ? span(move.validated_after_ms) : "–",
        joined(octets(move.bytes_resent))])),
    element("h3", {}, "Connection IDs"),
    tableOf(["Whose", "Number", "Connection ID", "State"], detail.cids.map((cid) => [
      cid.of === "peer" ? "the client's" : "the server's", String(cid.sequence), cid.cid,
      cid.retiring ? "retiring" : cid.in_use ? "in use" : cid.used ? "used" : "spare"])));
}

// ---- What comes

function setTotal(name, [value, unit]) {
  const box = document.querySelector(`[data-total="${name}"]`);
  box.replaceChildren(value, ...(unit ? [element("small", {}, unit)] : []));
}

function onServer(server, now) {
  const living = Object.values(server.states).reduce((sum, n) => sum + n, 0);
  $("server").textContent = `${server.command}, up ${span(server.up_ms)}, ${joined(octets(server.resident))} of memory`;
  setTotal("connections", count(living));
  setTotal("moves", count(server.moves));
  setTotal("drops", count(server.drops));
  setTotal("gap", gaps.length > 0 ? span(median(gaps.map(({ gap }) => gap))).split(" ") : ["–", ""]);
  if (traffic !== null && now > traffic.now) {
    for (const way of ["in", "out"]) {
      const [value, unit] = octets(Math.max(0, server[way] - traffic[way]) * 1000 / (now - traffic.now));
      setTotal(way, [value, `${unit}/s`]);
    }
  }
  traffic = { now, in: server.in, out: server.out };
}

function note(row, now) {
  const known = connections.get(row.id) ?? { places: [] };
  known.row = row;
  connections.set(row.id, known);
  const address = place(row);
  if (known.places.length === 0 && address !== "") known.places.push({ address, since: Math.max(now - row.age_ms, now - SPAN_MS) });
  return known;
}

function onTable(rows, matching, now) {
  total = matching;
  const there = new Set();
  for (const row of rows) {
    there.add(row.id);
    note(row, now);
  }
  for (const [id, known] of connections) {
    if (there.has(id)) continue;
    if (matching > rows.length && !known.closed) connections.delete(id);
    else known.closed ??= now;
    if (known.closed < now - SPAN_MS) connections.delete(id);
  }
  drawRows();
  drawLanes(now);
}

function onMoved(event) {
  const known = connections.get(event.id);
  const to = event.remote;
  const reverted = event.event === "path_reverted";
  if (known !== undefined) {
    known.places.push({ address: to, since: event.time_ms });
    known.row.last_move_ms = 0;
    known.row.moves++;
    if (event.proven || reverted) known.row.address = to;
    known.row.claimed = event.proven || reverted ? undefined : to;
    if (known.places.length > 200) known.places.shift();
    drawRows();
    flash(known);
  }
  moves.unshift({ id: event.id, path: event.path, time: event.time_ms, cid: event.connection, from: event.previous ?? "", to, reverted });
  moves.length = Math.min(moves.length, MOVES_MAX);
  drawMoves();
  announce(`Connection ${event.connection.slice(0, 8)} moved to ${to}`);
}

function onSettled(event) {
  const move = event.move;
  if (move === undefined) return;
  gaps.push({ gap: move.gap_ms, from: move.from ?? "", to: move.to ?? "", reverted: move.reverted });
  if (gaps.length > GAPS_MAX) gaps.shift();
  const listed = moves.find((one) => one.id === event.id && one.path === event.path && one.gap === undefined);
  if (listed !== undefined) listed.gap = move.gap_ms;
  const known = connections.get(event.id);
  if (known !== undefined) known.row.gap_ms = move.gap_ms;
  drawGaps();
  drawMoves();
}

function onEvent(event) {
  if (event.event === "path_moved" || event.event === "path_reverted") onMoved(event);
  if (event.event === "path_settled") onSettled(event);
}

function onMessage(message) {
  if (message.type === "event") {
    onEvent(message);
  } else if (message.type === "rows") {
    coming.push(...message.rows);
  } else if (message.type === "end") {
    const now = message.server.time_ms; // the server's clock, as events have it
    onServer(message.server, now);
    onTable(coming, message.matching, now);
    coming = [];
  }
}

// ---- The connection to the server

// The token stands behind the #, which no browser sends and no log shows.
function credentials() {
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  return token === null ? {} : { authorization: `Bearer ${token}` };
}

function setStatus(state, text) {
  $("status").dataset.state = state;
  setText($("status"), text);
}

function say(text) {
  $("note").hidden = text === "";
  $("note").textContent = text;
}

async function* lines(stream) {
  let rest = "";
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const parts = (rest + value).split("\n");
    rest = parts.pop();
    yield* parts;
  }
}

function protocol() {
  const entry = performance.getEntriesByType("navigation")[0];
  return entry?.nextHopProtocol === "h3" ? " over HTTP/3" : "";
}

async function watch() {
  const response = await fetch(LIVE, { headers: credentials(), cache: "no-store" });
  if (response.status === 401) {
    say("This server wants a token: open the page by the address that it printed, which ends in #token=…");
    setStatus("lost", "no token");
    return false;
  }
  if (!response.ok) throw new Error(String(response.status));
  say("");
  setStatus("live", `live${protocol()}`);
  traffic = null;
  coming = [];
  for await (const line of lines(response.body)) if (line !== "") onMessage(JSON.parse(line));
  throw new Error("the stream ended");
}

async function watchForever() {
  for (let tries = 0; ; tries++) {
    const begun = performance.now();
    try {
      if (!await watch()) return;
    } catch {
      if (performance.now() - begun > 5000) tries = 0;
      setStatus("lost", "reconnecting");
    }
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS[Math.min(tries, RETRY_MS.length - 1)]));
  }
}

$("filter").addEventListener("input", drawRows);
addEventListener("resize", drawGaps);
addEventListener("hashchange", () => location.reload());
drawColumns();
drawGaps();
watchForever();
