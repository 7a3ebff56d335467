"use strict";
// Draws the charts of a sweep's report from the constant `sweep` in the page. Fetches and stores nothing.
const NS = "http://www.w3.org/2000/svg";
const [W, H, L, R, T, B] = [460, 260, 56, 14, 12, 40];
const members = sweep.members, metric = sweep.objectives[0][0], better = sweep.objectives[0][1] === "maximize" ? 1 : -1;
const finished = members.filter(m => m.status === "FINISHED" && value(m, metric) != null);
const best = sweep.leaders.length ? members.find(m => m.number === sweep.leaders[0]) : null;
const paths = [...new Set(members.flatMap(m => Object.keys(m.varied)))];

function value(m, name) { return name in m.costs ? m.costs[name] : m.metrics[name]; }
function short(path) { return sweep.names[path]; }
function shown(v, name = "") {
  if (v == null) return "";
  if (typeof v !== "number") return String(v);
  if (name.endsWith("accuracy")) return (100 * v).toFixed(2) + " %";
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

// Maps values to pixels: logarithmic if numbers span decades; words are categories.
function scale(values, from, to, name = "") {
  const known = values.filter(v => v != null);
  if (known.some(v => typeof v !== "number")) {
    const words = [...new Set(known.map(String))];
    const step = (to - from) / words.length;
    return { at: v => from + step * (words.indexOf(String(v)) + .5), ticks: words.map(w => [from + step * (words.indexOf(w) + .5), w]), words: true };
  }
  let low = Math.min(...known), high = Math.max(...known);
  const log = low > 0 && high / low >= 30 && !name.endsWith("accuracy");
  const f = log ? Math.log10 : x => x;
  [low, high] = [f(low), f(high)];
  if (low === high) { low -= Math.abs(low) * .05 || .5; high += Math.abs(high) * .05 || .5; }
  const pad = (high - low) * .04; low -= pad; high += pad;
  const at = v => from + (f(v) - low) / (high - low) * (to - from);
  const ticks = [], distinct = [...new Set(known)];
  if (distinct.length <= 6 && !name.includes("/")) {
    ticks.push(...distinct); // few values: a tick for each
  } else if (log) {
    for (let e = Math.ceil(low); e <= high; e++) ticks.push(10 ** e);
    if (ticks.length < 2) for (const k of [2, 5]) for (let e = Math.floor(low); e <= high; e++) { const t = k * 10 ** e; if (f(t) >= low && f(t) <= high) ticks.push(t); }
  } else {
    const raw = (high - low) / 5, power = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 5, 10].map(k => k * power).find(s => s >= raw);
    for (let t = Math.ceil(low / step) * step; t <= high; t += step) ticks.push(Math.abs(t) < step / 1e6 ? 0 : t);
  }
  return { at, log, ticks: ticks.map(t => [at(t), tick(t, name)]) };
}
function tick(t, name) {
  if (name.endsWith("accuracy")) return Number((100 * t).toFixed(3)) + " %";
  if (Math.abs(t) >= 1e4 || (t !== 0 && Math.abs(t) < 1e-3)) return t.toExponential(0).replace("e+", "e");
  return String(Number(t.toPrecision(6)));
}
function chart(where, caption, label, x, y, xname, yname) {
  const node = svg("svg", { viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": label });
  const [below, beside] = [xname + (x.log ? " (log)" : ""), yname + (y.log ? " (log)" : "")];
  node.append(svg("path", { class: "axis", d: `M${L} ${T}V${H - B}H${W - R}` }));
  for (const [at, text] of x.ticks) { if (x.ticks.length > 12 && x.words) continue; node.append(svg("text", { x: at, y: H - B + 14, "text-anchor": "middle" }, text)); }
  for (const [at, text] of y.ticks) {
    node.append(svg("text", { x: L - 6, y: at + 4, "text-anchor": "end" }, text), svg("path", { class: "axis", d: `M${L} ${at}H${W - R}`, "stroke-opacity": .5 }));
  }
  node.append(svg("text", { x: (L + W - R) / 2, y: H - 6, "text-anchor": "middle" }, below), svg("text", { x: 12, y: (T + H - B) / 2, "text-anchor": "middle", transform: `rotate(-90 12 ${(T + H - B) / 2})` }, beside));
  where.append(el("figure", {}, el("figcaption", {}, caption), node));
  return node;
}
function marks(m) { return m === best ? "mark best" : m.status === "FINISHED" ? "mark" : m.status === "PRUNED" ? "mark pruned" : "mark failed"; }
function add(node, tag, m, attributes) {
  const mark = svg(tag, { class: marks(m), "data-n": m.number, ...attributes });
  mark.append(svg("title", {}, `#${m.number} ${m.name}\n${m.status.toLowerCase()}${value(m, metric) == null ? "" : `, ${metric} ${shown(value(m, metric), metric)}`}`));
  node.append(mark);
}
function section(title, text, wide) {
  const charts = el("div", { class: wide ? "charts wide" : "charts" });
  document.body.append(el("h2", {}, title), ...(text ? [el("p", {}, text)] : []), charts);
  return charts;
}
const inOrder = [...members.filter(m => m !== best), ...(best ? [best] : [])]; // the best is drawn last, on top

function cards() {
  const box = el("div", { class: "cards" });
  const count = s => members.filter(m => m.status === s).length;
  const parts = [["FINISHED", "finished"], ["PRUNED", "pruned"], ["FAILED", "failed"], ["KILLED", "interrupted"]].filter(([s]) => count(s)).map(([s, w]) => `${count(s)} ${w}`);
  const facts = [
    ...(best ? [[shown(value(best, metric), metric), `best ${metric}`], [best.name || `#${best.number}`, `the best, #${best.number}`]] : []),
    [String(members.length), `members: ${parts.join(", ")}`],
    [`${sweep.groups} / ${sweep.compiles}`, "structures / programs compiled"],
    [`${shown(Number(sweep.seconds.toFixed(1)))} s`, sweep.seconds_saved >= 1 ? `in all; ${Math.round(sweep.seconds_saved)} s of compilation saved` : "in all"],
  ];
  for (const [b, s] of facts) box.append(el("div", { class: "card" }, el("b", {}, b), el("span", {}, s)));
  document.body.append(box);
  if (best) document.body.append(el("p", {}, "The best again: ", el("code", {}, sweep.again)));
}

function curves() {
  for (const name of sweep.curves) {
    const own = inOrder.map(m => [m, m.history.map((e, i) => [i + 1, e[name]]).filter(p => p[1] != null && isFinite(p[1]))]).filter(p => p[1].length);
    if (!own.length || !own.some(p => p[1].length > 1)) continue;
    curves.where ??= section("Learning curves", "Every member, the best on top. Point at a member to highlight it in all charts.");
    const all = own.flatMap(p => p[1]), x = scale(all.map(p => p[0]), L, W - R), y = scale(all.map(p => p[1]), H - B, T, name);
    const node = chart(curves.where, name, `${name} by epoch`, x, y, "epoch", name);
    for (const [m, points] of own) {
      add(node, "path", m, { d: "M" + points.map(p => `${x.at(p[0]).toFixed(1)} ${y.at(p[1]).toFixed(1)}`).join("L") });
      if (m.status === "PRUNED") { const [e, v] = points[points.length - 1]; add(node, "circle", m, { cx: x.at(e), cy: y.at(v), r: 2 }); }
    }
  }
}

function parallel() {
  if (paths.length < 2) return;
  const names = [...paths, metric], width = Math.max(W * 2, names.length * 110);
  const own = inOrder.filter(m => value(m, metric) != null && paths.every(p => p in m.varied));
  if (!own.length) return;
  const where = section("Parallel coordinates", `One line for each member; the axes are the values that vary and ${metric}.`, true);
  const node = svg("svg", { viewBox: `0 0 ${width} 300`, style: `min-width: ${.7 * width}px`, role: "img", "aria-label": "parallel coordinates" });
  const xs = names.map((_, i) => 60 + i * (width - 130) / (names.length - 1));
  const get = (m, n) => n === metric ? value(m, metric) : m.varied[n];
  const ys = names.map(n => scale(own.map(m => get(m, n)), 265, 30, n));
  names.forEach((n, i) => {
    node.append(svg("path", { class: "axis", d: `M${xs[i]} 30V265` }), svg("text", { x: xs[i], y: 16, "text-anchor": "middle" }, short(n)));
    for (const [at, text] of ys[i].ticks.slice(0, 14)) node.append(svg("text", { x: xs[i] - 5, y: at + 4, "text-anchor": "end" }, text));
  });
  for (const m of own) add(node, "path", m, { d: "M" + names.map((n, i) => `${xs[i].toFixed(1)} ${ys[i].at(get(m, n)).toFixed(1)}`).join("L") });
  where.append(el("figure", {}, node));
}

function slices() {
  if (!paths.length) return;
  const where = section("Slices", `${metric} against each value that varies.`);
  for (const path of paths) {
    const own = inOrder.filter(m => path in m.varied && value(m, metric) != null && isFinite(value(m, metric)));
    if (!own.length) continue;
    const x = scale(own.map(m => m.varied[path]), L, W - R, path), y = scale(own.map(m => value(m, metric)), H - B, T, metric);
    const node = chart(where, path, `${metric} by ${path}`, x, y, short(path), metric);
    for (const m of own) {
      const jitter = x.words ? ((m.number * 7919) % 97 / 97 - .5) * 16 : 0; // by number, so that it is the same every time
      add(node, "circle", m, { cx: x.at(m.varied[path]) + jitter, cy: y.at(value(m, metric)), r: m === best ? 5 : 3.2 });
    }
  }
}

function importances() {
  const found = Object.entries(sweep.importances).sort((a, b) => b[1] - a[1]);
  if (!found.length) return;
  const where = section("Importance", `The share of each value in the variance of ${metric} between members (fANOVA).`, true);
  const node = svg("svg", { viewBox: `0 0 ${2 * W} ${found.length * 26 + 10}`, role: "img", "aria-label": "importance" });
  found.forEach(([path, share], i) => {
    node.append(svg("text", { x: 128, y: i * 26 + 20, "text-anchor": "end" }, short(path)), svg("rect", { class: "bar", x: 136, y: i * 26 + 7, width: Math.max(share * (2 * W - 220), 1), height: 18 }), svg("text", { x: 142 + share * (2 * W - 220), y: i * 26 + 20 }, (100 * share).toFixed(1) + " %"));
  });
  where.append(el("figure", {}, node));
}

function seeds() {
  if (!sweep.means.length) return;
  const where = section("Means over seeds", "Mean and 95 % confidence interval (Student's t); dots are seeds.", true);
  const means = [...sweep.means].sort((a, b) => better * (b.mean - a.mean)).slice(0, 24);
  const height = means.length * 24 + 50, left = 24 + 6.5 * Math.max(...means.map(m => m.name.length)), wide = left + 750;
  // An accuracy lies between 0 and 1.
  const within = v => metric.endsWith("accuracy") ? Math.min(Math.max(v, 0), 1) : v;
  const x = scale(means.flatMap(m => [...m.values, within(m.mean - m.interval), within(m.mean + m.interval)]), left, wide - 20, metric);
  const node = svg("svg", { viewBox: `0 0 ${wide} ${height}`, style: `min-width: ${.7 * wide}px`, role: "img", "aria-label": "means over seeds" });
  for (const [at, text] of x.ticks) node.append(svg("path", { class: "axis", d: `M${at} 10V${height - 36}`, "stroke-opacity": .5 }), svg("text", { x: at, y: height - 20, "text-anchor": "middle" }, text));
  node.append(svg("text", { x: (left + wide) / 2, y: height - 4, "text-anchor": "middle" }, metric));
  means.forEach((m, i) => {
    const y = 22 + i * 24;
    node.append(svg("text", { x: left - 10, y: y + 4, "text-anchor": "end" }, m.name), svg("path", { class: "best", d: `M${x.at(within(m.mean - m.interval))} ${y}H${x.at(within(m.mean + m.interval))}` }));
    for (const v of m.values) node.append(svg("circle", { class: "mark", cx: x.at(v), cy: y, r: 3 }));
    const dot = svg("circle", { class: "best", cx: x.at(m.mean), cy: y, r: 4.5 });
    dot.append(svg("title", {}, `${shown(m.mean, metric)} ± ${shown(m.deviation, metric)} (${m.values.length} seeds)`));
    node.append(dot);
  });
  where.append(el("figure", {}, node));
}

function costs() {
  let where = null;
  for (const name of ["multiply_adds", "parameters", "seconds"]) {
    const own = inOrder.filter(m => finished.includes(m) && m.costs[name] > 0);
    if (new Set(own.map(m => m.costs[name])).size < 2) continue;
    where ??= section("Against cost", "The line is the Pareto front: every other member has a cheaper one that is as good.");
    const x = scale(own.map(m => m.costs[name]), L, W - R), y = scale(own.map(m => value(m, metric)), H - B, T, metric);
    const node = chart(where, name.replace("_", "-"), `${metric} by ${name}`, x, y, name === "seconds" ? "seconds of training" : name.replace("_", "-"), metric);
    let line = "", top = null;
    for (const m of [...own].sort((a, b) => a.costs[name] - b.costs[name] || better * (value(b, metric) - value(a, metric)))) {
      if (top == null || better * (value(m, metric) - top) > 0) { const [px, py] = [x.at(m.costs[name]), y.at(value(m, metric))]; line += line ? `H${px}V${py}` : `M${px} ${py}`; top = value(m, metric); }
    }
    node.append(svg("path", { class: "front", d: line }));
    for (const m of own) add(node, "circle", m, { cx: x.at(m.costs[name]), cy: y.at(value(m, metric)), r: m === best ? 5 : 3.2 });
  }
}

function table() {
  document.body.append(el("h2", {}, "Members"));
  const filter = el("input", { type: "search", placeholder: "filter: a value, a status …", "aria-label": "filter members" });
  const columns = [
    ["#", m => m.number], ["status", m => m.status.toLowerCase()], ...paths.map(p => [p, m => m.varied[p]]),
    ...[...new Set([...sweep.objectives.map(o => o[0]), ...sweep.metrics])].map(n => [n, m => value(m, n)]),
    ["epochs", m => m.history.length], ["seconds", m => m.costs.seconds],
    ...(members.some(m => m.reason) ? [["reason", m => m.reason]] : []),
  ];
  const head = el("tr"), body = el("tbody");
  let order = columns.findIndex(c => c[0] === metric), up = better < 0;
  const words = i => members.some(m => typeof columns[i][1](m) === "string");
  columns.forEach(([name], i) => {
    const th = el("th", { scope: "col", tabindex: 0, class: words(i) ? "word" : "" }, name);
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
      return x === y ? a.number - b.number : (x < y ? -1 : 1) * (up ? 1 : -1);
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
for (const part of [curves, seeds, slices, parallel, importances, costs, table]) part();
highlight();
