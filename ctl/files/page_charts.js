// The charts of the page, on canvases. What they show is in page.js.
// A canvas as large as its place, cleared; its context and size in CSS pixels, and the colours of now.
function paper(id) {
  const canvas = $(id), ratio = window.devicePixelRatio || 1;
  const width = canvas.clientWidth, height = canvas.clientHeight;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const c = canvas.getContext("2d"), style = getComputedStyle(document.documentElement);
  c.setTransform(ratio, 0, 0, ratio, 0, 0);
  c.clearRect(0, 0, width, height);
  c.font = "12px " + getComputedStyle(document.body).fontFamily;
  return {c, width, height, colour: name => style.getPropertyValue("--" + name).trim()};
}

function topOf(value) {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  for (const step of [1, 2, 2.5, 5, 10]) if (step * power >= value) return step * power;
  return 10 * power;
}

function axes(p, top, unit) {
  const area = {left: 48, top: 6, right: p.width - 8, bottom: p.height - 18};
  p.c.strokeStyle = p.colour("line");
  p.c.fillStyle = p.colour("soft");
  p.c.lineWidth = 1;
  p.c.textAlign = "right";
  p.c.textBaseline = "middle";
  for (const share of [0, 0.5, 1]) {
    const y = Math.round(area.bottom - share * (area.bottom - area.top)) + 0.5;
    p.c.beginPath();
    p.c.moveTo(area.left, y);
    p.c.lineTo(area.right, y);
    p.c.stroke();
    p.c.fillText(short(share * top) + unit, area.left - 5, y);
  }
  return area;
}

// series: [{rows: [[time, span, value or null]], colour, dash}]
function drawLines(id, series, from, to, unit, least) {
  const p = paper(id);
  let most = least;
  for (const one of series) for (const point of one.rows) if (point[2] > most) most = point[2];
  const top = topOf(most), area = axes(p, top, unit);
  const x = time => area.left + (time - from) / (to - from) * (area.right - area.left);
  const y = value => area.bottom - Math.min(1, value / top) * (area.bottom - area.top);
  p.c.textAlign = "center";
  p.c.textBaseline = "top";
  const minutesLong = (to - from) / 60, step = [1, 2, 5, 10, 30, 60, 120, 240].find(s => minutesLong / s <= 7) || 360;
  for (let m = 0; m <= minutesLong; m += step) {
    const label = m === 0 ? "now" : m < 120 ? "-" + m + " min" : "-" + m / 60 + " h";
    p.c.fillText(label, Math.max(area.left + 20, Math.min(x(to - 60 * m), area.right - 14)), area.bottom + 4);
  }
  for (const one of series) {
    p.c.strokeStyle = p.colour(one.colour);
    p.c.lineWidth = 2;
    p.c.setLineDash(one.dash || []);
    p.c.beginPath();
    let before = null;
    for (const [time, length, value] of one.rows) {
      if (value === null || time < from) { before = null; continue; }
      if (before === null || time - before > kGap * Math.max(length, one.apart)) p.c.moveTo(x(time), y(value));
      else p.c.lineTo(x(time), y(value));
      before = time;
    }
    p.c.stroke();
  }
  p.c.setLineDash([]);
}

function drawPast() {
  if (!last) return;
  const began = last.run && last.run.started ? Date.parse(last.run.started) / 1000 : last.now - 600;
  const bySecond = span === "ten" || last.now - began < 600;
  const to = last.now, from = span === "ten" ? to - 600 : Math.max(to - 86400, Math.min(began, to - 60));
  const ordinal = last.run ? last.run.ordinal : 0;
  const rows = (bySecond ? [...seconds.values()].sort((a, b) => a[0] - b[0]) : minutes)
    .filter(row => span === "ten" || row[2] === ordinal);
  const apart = bySecond ? 1 : 60, per = (row, value) => value / (row[1] / 1000);
  const series = value => rows.map(row => [row[0], row[1] / 1000, value(row)]);
  drawLines("rate-chart", [
    {rows: series(row => per(row, row[3])), colour: "blue", apart},
    {rows: series(row => per(row, row[5] + row[6])), colour: "green", dash: [7, 4], apart},
    {rows: series(row => per(row, row[7] + row[8] + row[9])), colour: "red", dash: [2, 3], apart}], from, to, "", 1);
  // Writers tell hits when they are on the disk, many at once: over ten seconds it is a rate.
  const window = bySecond ? 10 : 1;
  const hits = rows.map((row, i) => [row[0], row[1] / 1000, hitsOf(rows.slice(Math.max(0, i - window + 1), i + 1)
    .filter(other => row[0] - other[0] < window * apart))]);
  drawLines("hit-chart", [{rows: hits.map(([t, s, v]) => [t, s, v === null ? null : 100 * v]), colour: "blue", apart}],
    from, to, " %", 1);
  const now = hitsOf(newest(60));
  text("hit-now", "last minute " + percent(now) + ", run " + percent(last.hit_rate));
  $("hit-chart").setAttribute("aria-label", "hit rate over time, now " + percent(now));
  $("rate-chart").setAttribute("aria-label", "frames per second over time, now " +
    (rows.length ? short(per(rows.at(-1), rows.at(-1)[3])) : "not known") + " in");
}

function drawPeaks() {
  if (!last || !last.peaks_per_frame) return;
  const {from, frames} = last.peaks_per_frame;
  const total = frames.reduce((sum, count) => sum + count, 0);
  const end = Math.max(12, frames.findLastIndex(count => count > 0) + 2);
  const most = Math.max(1, ...frames), p = paper("peak-chart");
  // By the root: hits are few beside empty frames, and have to be seen.
  const area = {left: 48, top: 6, right: p.width - 8, bottom: p.height - 18};
  const width = (area.right - area.left) / Math.min(end, from.length);
  p.c.fillStyle = p.colour("soft");
  p.c.textBaseline = "middle";
  p.c.textAlign = "right";
  p.c.strokeStyle = p.colour("line");
  for (const share of [0, 0.25, 1]) {
    const y = Math.round(area.bottom - Math.sqrt(share) * (area.bottom - area.top)) + 0.5;
    p.c.beginPath(); p.c.moveTo(area.left, y); p.c.lineTo(area.right, y); p.c.stroke();
    p.c.fillText(short(Math.round(share * most)), area.left - 5, y);
  }
  p.c.textBaseline = "top";
  p.c.textAlign = "center";
  let free = 0;
  frames.slice(0, end).forEach((count, i) => {
    const left = area.left + i * width, height = Math.sqrt(count / most) * (area.bottom - area.top);
    p.c.fillStyle = p.colour(known(last.min_num_peak) && from[i] < last.min_num_peak ? "soft" : "blue");
    p.c.fillRect(left + 1, area.bottom - height, Math.max(1, width - 2), height);
    p.c.fillStyle = p.colour("soft");
    if (left + width / 2 > free) { p.c.fillText(from[i], left + width / 2, area.bottom + 4); free = left + width / 2 + 34; }
  });
  let note = total ? whole(total) + " frames of the run" : "no frame yet";
  if (known(last.min_num_peak)) {
    const at = from.findIndex(value => value >= last.min_num_peak);
    if (at >= 0 && at < end) {
      const x = Math.round(area.left + at * width) + 0.5;
      p.c.strokeStyle = p.colour("orange");
      p.c.lineWidth = 2;
      p.c.setLineDash([5, 3]);
      p.c.beginPath(); p.c.moveTo(x, area.top); p.c.lineTo(x, area.bottom); p.c.stroke();
      p.c.setLineDash([]);
      p.c.fillStyle = p.colour("orange");
      p.c.textAlign = "left";
      p.c.fillText("hit: " + last.min_num_peak + " or more", x + 5, area.top);
    }
  }
  text("peaks-now", note);
  $("peak-chart").setAttribute("aria-label", "histogram of peaks a frame: " + note +
    (known(last.min_num_peak) ? ", a hit has " + last.min_num_peak + " peaks or more" : ""));
}

// Of what the writers have put down; fetched when there is more of it.
async function fetchPeakogram(id) {
  if (peakogram.id === id) return;
  peakogram = {id, said: peakogram.said};
  try {
    const answer = await fetch("api/v1/peakogram" + query);
    if (answer.ok) peakogram.said = await answer.json();
    drawPeakogram();
  } catch (error) { peakogram.id = null; /* the link is down, and the page says so */ }
}

function drawPeakogram() {
  const p = paper("peakogram"), said = last && last.sums ? peakogram.said : null;
  const missing = last && last.nodes ? "Each node has a page of its own for it." : !said ? "The writers have put down no sums of this run." : said.lacks || "No hit of the run yet.";
  const note = said && said.hits ? whole(said.hits) + (said.hits < said.of_hits ? " of " + whole(said.of_hits) : "") +
    " hits" + (said.hits < said.of_hits && said.lacks ? ": " + said.lacks : "") : "";
  text("peakogram-now", note);
  $("peakogram").setAttribute("aria-label", "intensity of peaks by resolution: " + (note || missing));
  p.c.fillStyle = p.colour("soft");
  if (!said || !said.counts) { writeInto(p, missing); return; }
  const area = {left: 40, top: 6, right: p.width - 6, bottom: p.height - 18};
  const lastColumn = Math.max(10, ...said.counts.map(row => row.findLastIndex(count => count > 0)));
  const firstRow = Math.max(0, said.counts.findIndex(row => row.some(count => count > 0)) - 1);
  const columns = lastColumn + 1, rows = Math.max(8, said.counts.length + 1 - firstRow);
  const x = inverse => area.left + inverse / said.inverse_angstrom_per_column / columns * (area.right - area.left);
  const y = row => area.bottom - (row - firstRow) / rows * (area.bottom - area.top);
  let most = 1;
  for (const row of said.counts) for (const count of row) most = Math.max(most, count);
  p.c.fillStyle = p.colour("blue");
  said.counts.forEach((row, r) => row.forEach((count, column) => {
    if (!count) return;
    p.c.globalAlpha = 0.2 + 0.8 * Math.log(count + 1) / Math.log(most + 1);
    const left = Math.round(x(column * said.inverse_angstrom_per_column)), top = Math.round(y(r + 1));
    const right = Math.round(x((column + 1) * said.inverse_angstrom_per_column)), bottom = Math.round(y(r));
    p.c.fillRect(left, top, Math.max(1, right - left), Math.max(1, bottom - top));
  }));
  p.c.globalAlpha = 1;
  p.c.strokeStyle = p.colour("line");
  p.c.fillStyle = p.colour("soft");
  p.c.strokeRect(area.left + 0.5, area.top + 0.5, area.right - area.left - 1, area.bottom - area.top - 1);
  p.c.textAlign = "right";
  p.c.textBaseline = "middle";
  const steps = rows / said.rows_per_octave > 8 ? [1] : [1, 2, 5];
  for (let power = 0; power < 8; ++power) {
    for (const value of steps.map(step => step * 10 ** power)) {
      const at = y(Math.log2(value) * said.rows_per_octave);
      if (at <= area.bottom + 1 && at >= area.top - 1) p.c.fillText(short(value), area.left - 4, at);
    }
  }
  p.c.textAlign = "center";
  p.c.textBaseline = "top";
  let free = area.left + 6;
  for (const angstrom of [50, 20, 10, 7, 5, 4, 3.5, 3, 2.5, 2.2, 2, 1.8, 1.6, 1.5, 1.4, 1.3, 1.2, 1.1, 1, 0.9, 0.8]) {
    const at = x(1 / angstrom), label = angstrom + " \u00c5";
    if (at - 16 < free || at + 12 > area.right) continue;
    p.c.fillText(label, at, area.bottom + 4);
    free = at + 20;
  }
}

// Lines of words, where there is nothing to draw.
function writeInto(p, words) {
  p.c.textAlign = "left";
  p.c.textBaseline = "top";
  let line = "", y = 10;
  for (const word of words.split(" ")) {
    if (line && p.c.measureText(line + " " + word).width > p.width - 16) { p.c.fillText(line, 8, y); line = ""; y += 17; }
    line += (line ? " " : "") + word;
  }
  p.c.fillText(line, 8, y);
}
