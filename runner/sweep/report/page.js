"use strict";
// Draws a sweep's report from the constant `sweep` in the page: its charts, whose positions and labels Python has
// computed (runner/charts), and a table of its members. Fetches and stores nothing.
const NS = "http://www.w3.org/2000/svg";
const UNITS = 10000; // the length of an axis in the positions of `sweep`
const FONT = 12, LEADING = 17, GAP = 8, PLOT = 210, ROW = 26, TOP = 12, RIGHT = 18, LONGEST = 190, NARROWEST = 240;
const metric = sweep.objectives[0][0], better = sweep.objectives[0][1] === "maximize" ? 1 : -1;
const members = sweep.members, byNumber = new Map(members.map(m => [m.number, m]));
const best = sweep.leaders.length ? byNumber.get(sweep.leaders[0]) : null;
const paths = Object.keys(sweep.names);

function value(m, name) { return name in m.costs ? m.costs[name] : m.metrics[name]; }
function shown(v, name = "") {
  if (v == null) return "";
  if (typeof v !== "number") return String(v);
  if (name.endsWith("accuracy")) return (100 * v).toFixed(2) + "\u00a0%";
  if (Number.isInteger(v) && Math.abs(v) < 1e15) return v.toLocaleString("en");
  return String(Number(v.toPrecision(4)));
}
function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [k, v] of Object.entries(attributes)) node.setAttribute(k, v);
  node.append(...children);
  return node;
}
function svg(tag, attributes = {}, text) {
  const node = document.createElementNS(NS, tag);
  for (const [k, v] of Object.entries(attributes)) node.setAttribute(k, v);
  if (text != null) node.textContent = text;
  return node;
}

// The width of a text in pixels, in the font of the charts.
const pen = document.createElement("canvas").getContext("2d");
const widths = new Map();
function width(text) {
  if (!widths.has(text)) {
    pen.font = `${FONT}px ${getComputedStyle(document.body).fontFamily}`;
    widths.set(text, Math.ceil(pen.measureText(text).width));
  }
  return widths.get(text);
}
// A text without its middle where it is wider than `room`: many names differ only at their ends.
function shortened(text, room) {
  if (width(text) <= room) return text;
  const letters = [...text];
  // Begins with some letters more than fit on average.
  for (let kept = Math.min(letters.length - 1, Math.ceil(letters.length * room / width(text)) + 6); kept > 2; kept--) {
    const short = letters.slice(0, Math.ceil(kept / 2)).join("") + "…" + letters.slice(-Math.floor(kept / 2)).join("");
    if (width(short) <= room) return short;
  }
  return letters[0] + "…";
}
// The room, at least `least`, in which shortened texts still differ.
function roomFor(texts, least) {
  const longest = Math.max(...texts.map(width), 0);
  let room = Math.min(least, longest);
  while (room < longest && new Set(texts.map(text => shortened(text, room))).size < texts.length) room = Math.min(room * 1.25, longest);
  return room;
}
// A text in lines of at most `room`, broken at spaces.
function wrapped(text, room) {
  const lines = [];
  for (const word of text.split(" ")) {
    const longer = lines.length ? `${lines.at(-1)} ${word}` : word;
    if (lines.length && width(longer) <= room) lines[lines.length - 1] = longer;
    else lines.push(word);
  }
  return lines;
}
// Leaves out each tick whose label would touch the one before. `at` gives its place, `size` the length of its label.
function spaced(ticks, at, size) {
  const kept = [];
  let end = -Infinity;
  for (const tick of [...ticks].sort((a, b) => at(a) - at(b))) {
    const half = size(tick) / 2;
    if (at(tick) - half < end) continue;
    kept.push(tick);
    end = at(tick) + half + 4;
  }
  return kept;
}
function label(node, text, room, attributes) {
  const short = shortened(text, room), own = svg("text", attributes, short);
  if (short !== text) own.append(svg("title", {}, text));
  node.append(own);
}
function titled(axis) { return axis.title + (axis.log ? " (log)" : ""); }

function mark(node, [shape, look, number, text, points], x, y) {
  const member = byNumber.get(number), classes = `mark ${look}`;
  const places = [];
  for (let i = 0; i < points.length; i += 2) places.push([x(points[i]), y(points[i + 1])]);
  const made = [];
  if (shape === "line") made.push(svg("path", { class: classes, d: "M" + places.map(p => p[0].toFixed(1) + " " + p[1].toFixed(1)).join("L") }));
  if (shape === "dot") for (const [cx, cy] of places) made.push(svg("circle", { class: classes, cx: cx.toFixed(1), cy: cy.toFixed(1), r: look === "best" ? 5 : 3.2 }));
  if (shape === "bar") {
    const [[end, row]] = places;
    made.push(svg("rect", { class: classes, x: x(0), y: row - 9, width: Math.max(end - x(0), 1), height: 18 }));
    node.append(svg("text", { x: end + 6, y: row + 4 }, text));
  }
  const said = member ? `#${member.number} ${member.name}\n${member.status.toLowerCase()}${value(member, metric) == null ? "" : `, ${metric} ${shown(value(member, metric), metric)}`}` : text;
  for (const one of made) {
    if (member) one.setAttribute("data-n", member.number);
    if (said) one.append(svg("title", {}, said));
    node.append(one);
  }
}

function xy(chart, all) {
  const { x: below, y: beside } = chart, rows = beside.words, names = beside.ticks.map(t => t[1]);
  const room = roomFor(names, Math.min(LONGEST, all * .4));
  // Names of rows that have no room beside them stand above them, in lines.
  const above = rows && room > all * .45, lines = above ? names.map(name => wrapped(name, all - 3 * GAP)) : [];
  const row = ROW + (above ? Math.max(...lines.map(own => own.length)) * LEADING : 0);
  const plot = rows ? row * names.length : PLOT;
  const left = (above ? 0 : room) + GAP + (beside.title ? FONT + GAP : 0);
  const right = Math.max(RIGHT, ...chart.marks.filter(m => m[0] === "bar").map(m => width(m[3]) + GAP));
  const x = v => left + v / UNITS * (all - left - right);
  const y = v => TOP + plot - v / UNITS * plot + (row - ROW) / 2 * rows;
  // Categories that have no room beside each other stand upright.
  const level = t => width(t[1]), upright = below.words && spaced(below.ticks, t => x(t[0]), level).length < below.ticks.length;
  const xs = spaced(below.ticks, t => x(t[0]), upright ? () => FONT : level);
  const high = upright ? roomFor(xs.map(t => t[1]), LONGEST) : FONT;
  const height = TOP + plot + GAP + high + GAP + FONT + GAP;
  const node = svg("svg", { width: all, height, viewBox: `0 0 ${all} ${height}`, role: "img", "aria-label": chart.title || titled(below) });
  node.append(svg("path", { class: "axis", d: `M${left} ${TOP}V${TOP + plot}H${all - right}` }));
  for (const [at, text] of xs) {
    const place = upright ? { x: 0, y: 0, "text-anchor": "end", transform: `translate(${x(at) + 4} ${TOP + plot + GAP}) rotate(-90)` } : { x: x(at), y: TOP + plot + GAP + FONT - 2, "text-anchor": "middle" };
    label(node, text, upright ? high : all, { class: "x", ...place });
    if (rows) node.append(svg("path", { class: "axis", d: `M${x(at)} ${TOP}V${TOP + plot}`, "stroke-opacity": .5 }));
  }
  const ys = rows ? beside.ticks : spaced(beside.ticks, t => y(t[0]), () => FONT);
  ys.forEach(([at, text], i) => {
    if (above) lines[i].forEach((line, k) => label(node, line, all - 3 * GAP, { class: "halo", x: left + 2, y: y(at) - 10 - LEADING * (lines[i].length - 1 - k) }));
    else label(node, text, room, { class: "y", x: left - GAP, y: y(at) + 4, "text-anchor": "end" });
    if (!rows) node.append(svg("path", { class: "axis", d: `M${left} ${y(at)}H${all - right}`, "stroke-opacity": .5 }));
  });
  label(node, titled(below), all - left - right, { class: "title", x: (left + all - right) / 2, y: height - GAP, "text-anchor": "middle" });
  if (beside.title) label(node, titled(beside), plot, { class: "title", x: 0, y: 0, "text-anchor": "middle", transform: `translate(${FONT} ${TOP + plot / 2}) rotate(-90)` });
  for (const one of chart.marks) mark(node, one, x, y);
  return node;
}

function parallel(chart, all) {
  const last = chart.axes.length - 1, plot = 250, top = 34, bottom = 12;
  const y = v => top + plot - v / UNITS * plot, ticks = chart.axes.map(axis => spaced(axis.ticks, t => y(t[0]), () => FONT));
  const rooms = ticks.map(own => roomFor(own.map(t => t[1]), 110)), titles = chart.axes.map(axis => width(titled(axis)));
  const first = Math.max(rooms[0], titles[0] / 2) + GAP, end = titles[last] / 2 + GAP;
  const least = Math.max(...rooms.slice(1), ...titles, 90) + 2 * GAP;
  const step = (Math.max(all, first + end + least * last) - first - end) / last, wide = first + end + step * last;
  const x = v => first + v / UNITS * step * last;
  const node = svg("svg", { width: wide, height: top + plot + bottom, viewBox: `0 0 ${wide} ${top + plot + bottom}`, role: "img", "aria-label": "parallel coordinates" });
  for (const one of chart.marks) mark(node, one, x, y);
  chart.axes.forEach((axis, i) => {
    const at = first + i * step;
    node.append(svg("path", { class: "axis", d: `M${at} ${top}V${top + plot}` }));
    label(node, titled(axis), step - GAP, { class: "title", x: at, y: 16, "text-anchor": "middle" });
    for (const [place, text] of ticks[i]) label(node, text, rooms[i], { class: "y halo", x: at - 5, y: y(place) + 4, "text-anchor": "end" });
  });
  return node;
}

function charts() {
  const drawn = [];
  for (const section of sweep.sections) {
    const box = el("div", { class: section.wide ? "charts wide" : "charts" });
    document.body.append(el("h2", {}, section.title), el("p", {}, section.text), box);
    for (const chart of section.charts) {
      const figure = el("figure");
      if (chart.title && !section.wide) figure.append(el("figcaption", {}, chart.title));
      const place = el("div");
      figure.append(place);
      box.append(figure);
      drawn.push([chart, place]);
    }
  }
  // Each chart has the width that it is given, in pixels, so that letters keep their size.
  function draw() {
    for (const entry of drawn) {
      const [chart, place] = entry, all = Math.max(Math.floor(place.clientWidth), NARROWEST);
      if (entry[2] === all) continue;
      entry[2] = all;
      place.replaceChildren(chart.axes ? parallel(chart, all) : xy(chart, all));
    }
  }
  // The more marks, the fainter each, so that the densest places still stand out.
  const faint = (few, least) => Math.min(Math.max(few / members.length, least), .8);
  document.documentElement.style.setProperty("--lines", faint(20, .08));
  document.documentElement.style.setProperty("--dots", faint(60, .25));
  draw();
  new ResizeObserver(() => requestAnimationFrame(draw)).observe(document.body); // also once a hidden page is shown
}

function cards() {
  const box = el("div", { class: "cards" });
  const count = s => members.filter(m => m.status === s).length;
  const parts = [["FINISHED", "finished"], ["PRUNED", "pruned"], ["FAILED", "failed"], ["KILLED", "interrupted"]].filter(([s]) => count(s)).map(([s, w]) => `${count(s).toLocaleString("en")} ${w}`);
  const facts = [
    ...(best ? [[shown(value(best, metric), metric), `best ${metric}`], [best.name || `#${best.number}`, `the best, #${best.number}`]] : []),
    [members.length.toLocaleString("en"), `member${members.length === 1 ? "" : "s"}: ${parts.join(", ")}`],
    [`${sweep.groups} / ${sweep.compiles}`, "structures / programs compiled"],
    [`${Number(sweep.seconds.toPrecision(sweep.seconds < 100 ? 3 : 15)).toLocaleString("en", { maximumFractionDigits: sweep.seconds < 100 ? 1 : 0 })} s`, sweep.seconds_saved >= 1 ? `in all; ${Math.round(sweep.seconds_saved).toLocaleString("en")} s of compilation saved` : "in all"],
  ];
  // A line may break between values and after the name of one, but not within a number.
  const parted = word => word.split("=").flatMap((part, i, all) => i < all.length - 1 ? [part + "=", el("wbr")] : [part]);
  const whole = text => text.split(" ").flatMap((word, i) => [i ? " " : "", el("span", { class: "whole" }, ...parted(word))]);
  for (const [b, s] of facts) box.append(el("div", { class: "card" }, el("b", {}, ...whole(b)), el("span", { class: "about" }, s)));
  document.body.append(box);
  if (sweep.optimism) document.body.append(el("p", {}, sweep.optimism[0].toUpperCase() + sweep.optimism.slice(1) + "."));
  if (best) document.body.append(el("p", {}, "The best again: ", el("code", {}, sweep.again)));
  if (best && sweep.filters) {
    const told = `The first filters of the best member, ${best.name || best.number}`;
    document.body.append(el("p", {}, told), el("img", { class: "filters", alt: told, src: sweep.filters }));
  }
}

function table() {
  document.body.append(el("h2", {}, "Members"));
  const filter = el("input", { type: "search", placeholder: "filter: a value, a status …", "aria-label": "filter members" });
  const columns = [
    ["#", m => m.number], ["status", m => m.status.toLowerCase()], ...paths.map(p => [sweep.names[p], m => m.varied[p] === null ? "null" : m.varied[p], p]),
    ...[...new Set([...sweep.objectives.map(o => o[0]), ...sweep.metrics])].map(n => [n, m => value(m, n)]),
    ["epochs", m => m.epochs], ["seconds", m => m.costs.seconds],
    ...(members.some(m => m.reason) ? [["reason", m => m.reason]] : []),
  ];
  const head = el("tr"), body = el("tbody");
  let order = columns.findIndex(c => c[0] === metric), up = better < 0;
  const words = i => members.some(m => typeof columns[i][1](m) === "string");
  columns.forEach(([name, , path], i) => {
    const th = el("th", { scope: "col", tabindex: 0, class: words(i) ? "word" : "", title: path ?? name }, name);
    const sort = () => { up = order === i ? !up : name === "#"; order = i; fill(); };
    th.addEventListener("click", sort);
    th.addEventListener("keydown", e => { if (e.key === "Enter") sort(); });
    head.append(th);
  });
  function fill() {
    const wanted = filter.value.toLowerCase(), get = columns[order][1];
    const rows = members.filter(m => !wanted || columns.some(c => shown(c[1](m), c[0]).toLowerCase().includes(wanted)));
    rows.sort((a, b) => {
      const [x, y] = [get(a), get(b)];
      if (x == null || y == null) return (x == null) - (y == null);
      const [one, other] = typeof x === typeof y ? [x, y] : [typeof x, typeof y];
      return one === other ? a.number - b.number : (one < other ? -1 : 1) * (up ? 1 : -1);
    });
    [...head.children].forEach((th, i) => i === order ? th.setAttribute("aria-sort", up ? "ascending" : "descending") : th.removeAttribute("aria-sort"));
    body.replaceChildren(...rows.map(m => el("tr", { "data-n": m.number }, ...columns.map(([name, f], i) => el("td", { class: words(i) ? "word" : "" }, shown(f(m), name))))));
  }
  filter.addEventListener("input", fill);
  fill();
  document.body.append(filter, el("div", { class: "scroll" }, el("table", {}, el("thead", {}, head), body)));
}

function highlight() {
  let now = null;
  document.body.addEventListener("pointerover", e => {
    const n = e.target.closest?.("[data-n]")?.dataset.n ?? null;
    if (n === now) return;
    for (const node of document.querySelectorAll(".on")) node.classList.remove("on");
    if (n != null) for (const node of document.querySelectorAll(`[data-n="${n}"]`)) node.classList.add("on");
    now = n;
  });
}

cards();
charts();
table();
highlight();
