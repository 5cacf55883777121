"use strict";
const $ = id => document.getElementById(id);
const query = location.search;
const kLost = 3000;         // ms without an event: the server is gone, or the way to it
const kMostNodes = 200;     // rows
const kGap = 3;             // a line breaks where so many spans have no point
let last = null;            // the last event, and when it came by this machine's clock
let lastAt = 0;
let seconds = new Map(), minutes = [];
let span = "ten";
let live = true, shown = null, zoom = 1, shift = [0, 0];
const kKinds = {hit: "hit", powder: "Virtual powder", sum: "Sum of the hits", maximum: "Maximum of the hits"};
let kind = "hit";           // what the picture is of
let peakogram = {id: null, said: null};

const text = (id, value) => { if ($(id).textContent !== value) $(id).textContent = value; };
const known = value => value !== null && value !== undefined;
function short(value) {
  if (!known(value) || !isFinite(value)) return "-";
  const size = Math.abs(value);
  if (size >= 1e6) return (value / 1e6).toFixed(2) + "M";
  if (size >= 1e4) return (value / 1e3).toFixed(1) + "k";
  return size >= 100 || value === 0 ? value.toFixed(0) : value.toFixed(1);
}
const whole = value => known(value) ? Math.round(value).toLocaleString("en").replaceAll(",", "\u202f") : "-";
function duration(s) {
  if (!known(s) || !isFinite(s)) return "-";
  if (s < 10) return Math.max(0, s).toFixed(1) + " s";
  if (s < 100) return s.toFixed(0) + " s";
  if (s < 5400) return (s / 60).toFixed(0) + " min";
  if (s < 172800) return Math.floor(s / 3600) + " h " + Math.floor(s % 3600 / 60) + " m";
  return (s / 86400).toFixed(1) + " d";
}
function micro(us) {
  if (!known(us)) return "-";
  return us < 1e3 ? us.toFixed(0) + " \u00b5s" : us < 1e6 ? (us / 1e3).toFixed(us < 1e4 ? 1 : 0) + " ms" : duration(us / 1e6);
}
function bytes(count) {
  if (!known(count)) return "not known";
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let unit = 0;
  for (; count >= 1024 && unit < 5; ++unit) count /= 1024;
  return count.toFixed(count < 10 && unit ? 1 : 0) + " " + units[unit];
}
const percent = share => known(share) ? (100 * share).toFixed(share < 0.0995 ? 2 : 1) + " %" : "-";
const clock = s => new Date(s * 1000).toLocaleTimeString([], {hour12: false});

// Rows: [time, span_ms, run, committed, inferred, written, filtered, dropped, failed, refused, peaks]
const hitsOf = rows => {
  let hits = 0, judged = 0;
  for (const row of rows) { hits += row[5]; judged += row[5] + row[6]; }
  return judged ? hits / judged : null;
};
const newest = count => [...seconds.values()].filter(row => last && last.now - row[0] <= count);

function addRows(rows) {
  for (const row of rows) seconds.set(row[0], row);
  const oldest = last ? last.now - 600 : 0;
  for (const time of seconds.keys()) if (time < oldest) seconds.delete(time);
}

async function fetchPast() {
  try {
    const answer = await fetch("api/v1/history" + query);
    if (!answer.ok) return;
    const past = await answer.json();
    minutes = past.minutes;
    addRows(past.seconds);
    draw();
  } catch (error) { /* the link is down, and the page says so */ }
}

function showHealth(d) {
  const state = d.health ? d.health.state : "failing";
  const words = {healthy: ["\u25CF", "HEALTHY"], degraded: ["\u25B2", "DEGRADED"], failing: ["\u25A0", "FAILING"]};
  const first = d.health ? d.health.reasons[0] : d.error && {what: d.error.what, remedy: d.error.remedy};
  const more = d.health && d.health.reasons.length > 1 ? " (+" + (d.health.reasons.length - 1) + " more)" : "";
  $("health").className = state;
  text("mark", words[state][0]);
  text("word", words[state][1]);
  text("reason", first ? first.what + more : "Nothing is known to be wrong.");
  text("command", first && first.remedy ? first.remedy : "");
  const title = words[state][1] + " " + d.instance;
  if (document.title !== title) document.title = title;
  const run = d.run && d.run.id ? "run " + d.run.id + (d.run.ended ? ", ended" : ", " + duration(d.now -
    Date.parse(d.run.started) / 1000)) : "no run yet";
  text("where", d.instance + " \u00b7 " + (d.state || (d.nodes ? "no answer" : "no shared memory")) + " \u00b7 " + run +
    (d.frames ? " \u00b7 " + whole(d.frames.committed) + " frames, " + whole(d.frames.written) + " hits" : ""));
}

// Of what nobody can read any more nothing old stays.
function showNoTiles(d) {
  for (const id of ["rate", "hits", "disk"]) text(id, "-");
  for (const id of ["rate-note", "hits-note", "disk-note"]) text(id, d.nodes ? "no node answers" : "no shared memory");
  $("tile-disk").classList.remove("alarm");
  $("tile-indexing").hidden = true;
  showAge();
}

function showTiles(d) {
  const minute = newest(60);
  const alive = d.daemon && d.daemon.alive !== false && d.daemon.heartbeat_age_s < 5;
  text("rate", alive ? short(d.rates.committed_per_s) : "-");
  text("rate-note", alive ? short(d.rates.inferred_per_s) + " inferred/s" : "peaknetd is silent");
  text("hits", percent(hitsOf(minute)));
  text("hits-note", "run: " + percent(d.hit_rate));
  showIndexing(d.indexing);
  const disk = d.disk || {};
  text("disk", known(disk.left_s) ? duration(disk.left_s) : "-");
  text("disk-note", bytes(disk.free_bytes) + (known(disk.free_bytes) ? " free" : ""));
  $("tile-disk").classList.toggle("alarm", known(disk.left_s) && disk.left_s < 1800);
  showAge();
}

// The share of the hits in the streams of indexamajig that have a crystal; no tile where nobody follows any.
function showIndexing(indexing) {
  $("tile-indexing").hidden = !indexing;
  if (!indexing) return;
  text("indexed", percent(indexing.rate));
  const old = indexing.followed === false || indexing.age_s > 10;
  text("indexed-note", indexing.run !== last.run.id ? "of run " + indexing.run : old ? duration(indexing.age_s) + " old" :
    whole(indexing.indexed) + " of " + whole(indexing.frames) + " hits");
  const names = {a_nm: "a", b_nm: "b", c_nm: "c", alpha_deg: "\u03b1", beta_deg: "\u03b2", gamma_deg: "\u03b3"};
  const number = ([key, name]) => {
    const of = indexing.cell[key];
    return of ? name + " " + of.mean.toFixed(key.endsWith("nm") ? 3 : 2) + (known(of.deviation) ? " \u00b1 " +
      of.deviation.toFixed(key.endsWith("nm") ? 3 : 2) : "") : name + " -";
  };
  $("tile-indexing").title = "crystals " + whole(indexing.crystals) + ", hits handed out " + whole(indexing.served) +
    "; cell (nm, degrees): " + Object.entries(names).map(number).join(", ");
}

// Between events too: a page that hangs must be seen to hang.
function showAge() {
  if (!last) return;
  const silent = (Date.now() - lastAt) / 1000;
  const age = known(last.newest_frame) ? Math.max(0, last.now - last.newest_frame + silent) : null;
  const heart = last.daemon ? last.daemon.heartbeat_age_s : null;
  text("age", age === null ? "-" : age < 2 ? "now" : duration(age));
  $("tile-age").classList.toggle("alarm", age !== null && age > 10);
  text("age-note", !last.daemon ? (last.nodes ? "no node answers" : "no shared memory") : last.daemon.alive === false ? "peaknetd is dead" :
    heart > 5 ? "peaknetd hangs" : age === null || age > 5 ? "no beam; peaknetd is awake" : age < 2 ? "frames come" : "ago");
  const lost = silent * 1000 > kLost;
  document.body.classList.toggle("stale", lost);
  if (lost) text("lost", "This page has no contact with its server since " + clock(lastAt / 1000) +
    " (" + duration(silent) + "): what it shows is old. Is peaknetctl page running, and the way to it open?");
}

function showStages(d) {
  const stages = d.pipeline || [];
  const list = $("stages");
  while (list.children.length < stages.length) {
    const item = document.createElement("li");
    for (const kind of ["strong", "div", "span", "span", "span", "em"]) item.append(document.createElement(kind));
    item.children[1].className = "gauge";
    item.children[1].append(document.createElement("i"));
    list.append(item);
  }
  stages.forEach((stage, i) => {
    const [label, gauge, fill, rate, times, mark] = list.children[i].children;
    const set = (part, value) => { if (part.textContent !== value) part.textContent = value; };
    list.children[i].classList.toggle("slowest", stage.slowest);
    set(label, stage.label);
    const share = stage.stage === "devices" && known(stage.busy) ? stage.busy : stage.share;
    gauge.hidden = !known(share);
    gauge.firstChild.style.width = 100 * Math.min(1, share || 0) + "%";
    set(fill, known(stage.frames) ? whole(stage.frames) + " frames, " + Math.round(100 * stage.share) + " %" : "");
    const busy = known(stage.busy) ? Math.round(100 * stage.busy) + " % busy" : "";
    const perSecond = known(stage.per_s) ? short(stage.per_s) + " /s" : "";
    set(rate, [perSecond, busy].filter(Boolean).join(", "));
    set(times, known(stage.p50_us) ? micro(stage.p50_us) + ", p99 " + micro(stage.p99_us) : "");
    set(mark, stage.slowest ? (stage.stage === "source" ? "\u25B2 sets the pace" : "\u25B2 slowest stage") : "");
  });
  const shape = d.pool ? d.pool.shape.length ? d.pool.shape.join(" x ") : "several shapes" : "";
  const pool = d.pool ? d.pool.slots + " slots of " + shape + " " + d.pool.dtype : "";
  const total = d.latency_us && d.latency_us.count ? ", from source to disk " + micro(d.latency_us.p50) + ", p99 " +
    micro(d.latency_us.p99) : "";
  text("pool", pool + total);
}

function showErrors(d) {
  const key = JSON.stringify(d.errors || []);
  if ($("list").dataset.key === key) return;
  $("list").dataset.key = key;
  $("list").replaceChildren(...(d.errors && d.errors.length ? d.errors : [null]).map(error => {
    const item = document.createElement("li");
    if (!error) { item.textContent = "None."; return item; }
    const name = document.createElement("code");
    name.textContent = error.id;
    item.append(clock(Date.parse(error.last) / 1000) + "  ", name, " \u00d7 " + whole(error.count) + " \u00b7 " + error.text);
    return item;
  }));
}

// In place of the picture, where the page is that of many nodes; the worst first.
function showNodes(nodes) {
  for (const id of ["show-hit", "show-powder", "show-sum", "show-maximum", "back", "forth", "live", "minus", "plus", "fit", "view"])
    $(id).hidden = true;
  $("nodes").hidden = false;
  text("hit-title", "Nodes, the worst first");
  const cell = (row, value, name) => {
    const made = document.createElement("td");
    made.textContent = value;
    if (name) made.className = name;
    row.append(made);
    return made;
  };
  const marks = {healthy: "\u25CF ", degraded: "\u25B2 ", failing: "\u25A0 "};
  $("rows").replaceChildren(...nodes.slice(0, kMostNodes).flatMap(node => {
    const row = document.createElement("tr"), why = document.createElement("tr");
    cell(row, node.host);
    cell(row, known(node.health) ? marks[node.health] + node.health : "not asked yet", node.health || "");
    cell(row, node.rates ? short(node.rates.committed_per_s) : "-");
    cell(row, percent(node.hit_rate));
    cell(row, known(node.share) ? Math.round(100 * node.share) + " %" : "-");
    cell(row, whole(node.lost));
    cell(row, known(node.free_bytes) ? bytes(node.free_bytes) : "-");
    if (!node.reason) return [row];
    why.className = "why";
    cell(why, node.reason + (node.remedy ? " \u2192 " + node.remedy : "")).colSpan = 7;
    return [row, why];
  }));
  text("about", nodes.length > kMostNodes ? "and " + (nodes.length - kMostNodes) + " more" : "");
}

function showPicture(address, title, about, alternative) {
  const picture = $("picture");
  if (picture.dataset.address !== address) { picture.dataset.address = address; picture.src = address; }
  picture.hidden = false;
  $("none").hidden = true;
  text("hit-title", title);
  text("about", about);
  picture.alt = alternative;
}
function showNone(title, why) {
  $("picture").hidden = true;
  $("none").hidden = false;
  text("hit-title", title);
  text("none", why);
  text("about", "");
}

// What all hits of the run are together; writers put it down every few seconds.
function showSum() {
  const sums = last ? last.sums : null;
  if (!sums) { showNone(kKinds[kind], "The writers have put down no sums of this run."); return; }
  const added = kind === "powder" ? sums.hits : sums.summed;
  const about = (added === sums.hits ? whole(added) + " hits" : whole(added) + " of " + whole(sums.hits) + " hits") +
    " \u00b7 run " + sums.run + " \u00b7 the last one " + duration(last.now - sums.last) + " ago";
  showPicture("api/v1/sums/" + kind + "/" + sums.id + ".png" + query, kKinds[kind], about,
    kKinds[kind].toLowerCase() + " of the run: " + about);
}

function showHit() {
  if (last && last.nodes) { showNodes(last.nodes); return; }
  if (kind !== "hit") { showSum(); return; }
  const hits = last ? last.hits : [];
  if (!hits.length) { showNone("Latest hit", "No hit has been seen yet."); return; }
  let at = hits.findIndex(hit => hit.id === shown);
  if (live || at < 0) { at = live ? hits.length - 1 : 0; shown = hits[at].id; }
  const hit = hits[at];
  $("back").disabled = at === 0;
  $("forth").disabled = at === hits.length - 1;
  const age = last.now - hit.committed;
  const energy = known(hit.photon_energy_ev) ? " \u00b7 " + (hit.photon_energy_ev / 1e3).toFixed(3) + " keV" : "";
  const about = hit.peaks + " peaks \u00b7 frame " + hit.producer + ":" + hit.number + " \u00b7 event " +
    hit.event_id + " \u00b7 run " + hit.run + energy + " \u00b7 " + duration(age) + " ago";
  showPicture("api/v1/hits/" + hit.id + ".png" + query,
    at === hits.length - 1 ? "Latest hit" : "Hit " + (hits.length - 1 - at) + " before", about,
    "a hit with its peaks circled: " + hit.peaks + " peaks, frame " + hit.producer + ":" + hit.number);
}

function draw() { drawPast(); drawPeaks(); drawPeakogram(); }

function show(d) {
  const before = last;
  last = d;
  lastAt = Date.now();
  if (d.error) seconds.clear();
  addRows(d.history || []);
  // Events that were missed, another run, another minute: the whole past once more.
  if (!before || before.error || d.now - before.now > 5 || Math.floor(d.now / 60) !== Math.floor(before.now / 60) ||
      (d.run && before.run && d.run.ordinal !== before.run.ordinal)) fetchPast();
  showHealth(d);
  if (d.rates) showTiles(d); else showNoTiles(d);
  showStages(d);
  showErrors(d);
  showHit();
  if (d.sums) fetchPeakogram(d.sums.id);
  draw();
}

function listen() {
  const events = new EventSource("events" + query);
  events.onmessage = message => show(JSON.parse(message.data));
  events.onerror = () => { if (events.readyState === EventSource.CLOSED) setTimeout(listen, 2000); };
}

function follow(on) {
  live = on;
  $("live").setAttribute("aria-pressed", String(on));
  $("live").textContent = on ? "live" : "paused";
  showHit();
}
function showKind(which) {
  kind = which;
  for (const id in kKinds) $("show-" + id).setAttribute("aria-pressed", String(id === which));
  for (const id of ["back", "forth", "live"]) $(id).hidden = which !== "hit";
  showHit();
}
function step(by) {
  if (kind !== "hit") return;
  const hits = last ? last.hits : [];
  const at = Math.min(hits.length - 1, Math.max(0, hits.findIndex(hit => hit.id === shown) + by));
  if (!hits.length) return;
  live = false;
  shown = hits[at].id;
  follow(false);
}
function place() { $("picture").style.transform = `translate(${shift[0]}px, ${shift[1]}px) scale(${zoom})`; }
function enlarge(by, x, y) {
  const to = Math.min(16, Math.max(1, zoom * by));
  shift = to === 1 ? [0, 0] : [x - (x - shift[0]) * to / zoom, y - (y - shift[1]) * to / zoom];
  zoom = to;
  place();
}
const middle = by => enlarge(by, $("picture").clientWidth / 2, $("picture").clientHeight / 2);
function look(which) {
  span = which;
  for (const id of ["ten", "run"]) $(id).setAttribute("aria-pressed", String(id === which));
  draw();
}
const keys = {ArrowLeft: () => step(-1), ArrowRight: () => step(1), " ": () => { if (kind === "hit") follow(!live); }, "+": () => middle(1.5),
  "-": () => middle(1 / 1.5), "0": () => enlarge(0, 0, 0), t: () => look("ten"), r: () => look("run"), h: () => showKind("hit"), p: () => showKind("powder"),
  s: () => showKind("sum"), m: () => showKind("maximum")};
addEventListener("keydown", event => {
  if (event.ctrlKey || event.metaKey || event.altKey || !keys[event.key]) return;
  if (event.key === " " && event.target.tagName === "BUTTON") return;  // it presses that button
  event.preventDefault();
  keys[event.key]();
});
for (const id in kKinds) $("show-" + id).onclick = () => showKind(id);
$("back").onclick = () => step(-1);
$("forth").onclick = () => step(1);
$("live").onclick = () => follow(!live);
$("plus").onclick = () => middle(1.5);
$("minus").onclick = () => middle(1 / 1.5);
$("fit").onclick = () => enlarge(0, 0, 0);
$("ten").onclick = () => look("ten");
$("run").onclick = () => look("run");
$("view").addEventListener("wheel", event => {
  event.preventDefault();
  const box = $("picture").getBoundingClientRect();
  enlarge(event.deltaY < 0 ? 1.25 : 0.8, event.clientX - box.left + shift[0], event.clientY - box.top + shift[1]);
}, {passive: false});
$("view").addEventListener("pointermove", event => {
  if (event.buttons !== 1 || zoom === 1) return;
  shift = [shift[0] + event.movementX, shift[1] + event.movementY];
  place();
});
$("picture").draggable = false;
addEventListener("resize", draw);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
setInterval(showAge, 500);
listen();
