// What made one value: its window, the arithmetic, the value.
import { softmax } from "./activations.mjs";
import { bin, binPlaces } from "./adaptive.mjs";
import { pixel } from "./convolution.mjs";
import { el, short, term, tiny } from "./dom.mjs";
import { colour, drawMaps, ink, largestOf, layout } from "./paint.mjs";
import { asMap } from "./shapes.mjs";
import { say } from "./texts.mjs";
import { backwards, reaching } from "./transposed.mjs";

const BESIDE = 3; // as many columns as three matrices side by side have
const CHANNELS = 3; // shown in full, the others as one sum
const MAPS = 32; // of so many channels the contributions are shown one by one
const TERMS = 10;

/** A small table of numbers on their colours; `marked` is the index of one to frame. */
function matrix(values, columns, scale, title, marked = -1) {
  const isRow = values.length === columns && columns > BESIDE, big = isRow ? Math.min(34, Math.floor(340 / columns)) : columns <= 3 ? 34 : columns <= 5 ? 22 : columns <= 7 ? 16 : 9;
  const cells = values.map((v, i) =>
    el("span", { class: i === marked ? "won" : v === null ? "none" : "", style: v === null ? "" : `background:${colour(v, scale)};color:${ink(v, scale)}`, title: v === null ? "" : short(v, 5) },
      big >= 22 && v !== null ? tiny(v) : ""));
  return el("figure", {}, el("div", { class: "matrix", style: `--cell:min(${big}px, calc((100vw - 100px) / ${isRow ? columns : 3 * columns}));grid-template-columns:repeat(${columns},var(--cell))` }, cells),
    el("figcaption", {}, title));
}

const line = (...parts) => el("p", { class: "sum" }, ...parts);

/** The places under the window of one position, row by row: [row, column], −1 where it is a zero of the padding. */
function under(node, y, x) {
  const [h, w] = asMap(node.from), mode = node.args.padding_mode ?? "zeros";
  if (node.kind === "conv_transpose") {
    const [wy, wx] = backwards(node), columns = reaching(x, wx, w);
    return { places: reaching(y, wy, h).flatMap((row) => columns.map((column) => [row, column])), columns: wx[0] };
  }
  const [wy, wx] = node.windows.length === 1 ? [[1, 1, 1, 0, 0], ...node.windows] : node.windows;
  const found = [];
  for (let ky = 0; ky < wy[0]; ky++)
    for (let kx = 0; kx < wx[0]; kx++)
      found.push([pixel(y * wy[1] - wy[3] + ky * wy[2], h, mode), pixel(x * wx[1] - wx[3] + kx * wx[2], w, mode)]);
  return { places: found, columns: wx[0] };
}

const valueAt = (x, [, w, c], [row, column], k) => (row < 0 || column < 0 ? null : x[(row * w + column) * c + k]);

/** The filter of one output channel, channel by channel: {channel, weights}. */
export function filterOf(node, tensors, f) {
  const filters = node.shape[node.shape.length - 1], taps = (node.args.transposed ?? node.windows).reduce((all, [size]) => all * size, 1);
  const weights = (count, column, slot) => Array.from({ length: taps }, (_, tap) => tensors.kernel[(tap * count + slot) * column.count + column.at]);
  if (node.kind === "partial_conv") {
    const seen = node.args.connections, first = seen.slice(0, f).flat().length, count = seen.flat().length;
    return seen[f].map((channel, n) => ({ channel, weights: weights(1, { count, at: first + n }, 0) }));
  }
  const channels = node.from[node.from.length - 1] / (node.args.groups ?? 1), each = filters / (node.args.groups ?? 1);
  const group = Math.floor(f / each), all = node.from[node.from.length - 1];
  if (node.kind === "conv_transpose") {
    const own = (channel) => weights(each, { count: all, at: channel }, f % each);
    return Array.from({ length: channels }, (_, slot) => ({ channel: group * channels + slot, weights: own(group * channels + slot) }));
  }
  return Array.from({ length: channels }, (_, slot) => ({ channel: group * channels + slot, weights: weights(channels, { count: filters, at: f }, slot) }));
}

function convolution(node, x, tensors, [y, column, f]) {
  const { places, columns } = under(node, y, column), shape = asMap(node.from);
  const parts = filterOf(node, tensors, f).map(({ channel, weights }) => {
    const values = places.map((place) => valueAt(x, shape, place, channel));
    const products = values.map((v, i) => (v ?? 0) * weights[i]);
    return { channel, weights, values, products, sum: products.reduce((a, b) => a + b, 0) };
  });
  const order = [...parts].sort((a, b) => Math.abs(b.sum) - Math.abs(a.sum)), shown = order.slice(0, CHANNELS);
  const scales = ["values", "weights", "products"].map((name) => Math.max(...order.map((part) => largestOf(part[name].map((v) => v ?? 0)))));
  const rest = order.slice(CHANNELS).reduce((sum, part) => sum + part.sum, 0);
  const bias = tensors.bias?.[f] ?? 0, total = parts.reduce((sum, part) => sum + part.sum, bias);
  return [
    ...shown.map((part) =>
      el("div", { class: "channel" }, el("h5", {}, say("channel", part.channel), el("b", {}, ` Σ ${short(part.sum)}`)),
        el("div", { class: places.length === columns && columns > BESIDE ? "terms stack" : "terms" }, matrix(part.values, columns, scales[0], say("window")), el("b", {}, "×"),
          matrix(part.weights, columns, scales[1], say("filter")), el("b", {}, "="), matrix(part.products, columns, scales[2], say("product"))))),
    line(shown.map((part, n) => (n ? term(part.sum) : short(part.sum))).join(""), order.length > CHANNELS ? `${term(rest)} (${say("others", order.length - CHANNELS)})` : "",
      tensors.bias ? `${term(bias)} (${say("bias")})` : "", " = ", el("strong", {}, short(total, 4))),
  ];
}

/** What each input channel adds to the whole map of one filter. */
export function contributions(page, node, x, tensors, f) {
  const [height, width] = asMap(node.shape), shape = asMap(node.from);
  const maps = filterOf(node, tensors, f).map(({ channel, weights }) => {
    const map = new Float32Array(height * width);
    for (let y = 0; y < height; y++)
      for (let column = 0; column < width; column++) {
        let sum = 0;
        under(node, y, column).places.forEach((place, tap) => (sum += (valueAt(x, shape, place, channel) ?? 0) * weights[tap]));
        map[y * width + column] = sum;
      }
    return { channel, map };
  });
  const bias = tensors.bias?.[f] ?? 0;
  const added = (list, first) => list.reduce((sum, { map }) => sum.map((v, i) => v + map[i]), new Float32Array(height * width).fill(first));
  const strong = maps.length > MAPS ? [...maps].sort((a, b) => largestOf(b.map) - largestOf(a.map)) : maps, shown = strong.slice(0, MAPS), others = strong.slice(MAPS);
  const total = added(maps, bias), rest = added(others, 0);
  const scale = Math.max(...shown.map(({ map }) => largestOf(map)), largestOf(rest), largestOf(total)) / page.state.gain;
  const face = (map, title) => {
    const canvas = el("canvas");
    drawMaps(canvas, map, height > 1 ? layout([height, width, 1], 64, 60) : layout([width, 1], 120), scale);
    return el("figure", {}, canvas, el("figcaption", {}, title));
  };
  return [el("h5", {}, say("contributions")), el("div", { class: "terms wrap" },
    shown.map(({ channel, map }) => face(map, say("channel", channel))), others.length ? face(rest, say("others", others.length)) : null, el("b", {}, `+ ${say("bias")} ${short(bias)} =`), face(total, say("sum")))];
}

function pooling(node, x, tensors, value, [row, column, k]) {
  const { places, columns } = under(node, row, column), shape = asMap(node.from);
  const values = places.map((place) => valueAt(x, shape, place, k)), there = values.filter((v) => v !== null);
  const won = node.kind === "max_pool" ? values.indexOf(Math.max(...there)) : -1;
  const counts = tensors.counts?.[row * asMap(node.shape)[1] + column];
  const note = { max_pool: say("winner"), avg_pool: say("mean", counts), sum_pool: say("total", there.length) }[node.kind];
  return [matrix(values, columns, largestOf(there), say("window"), won), el("p", {}, note ?? ""),
    node.kind === "subsampling"
      ? line(`${short(there.reduce((a, b) => a + b, 0))} × ${short(tensors.scale[k])} + ${short(tensors.bias[k])} = `, el("strong", {}, short(value, 4)))
      : line("= ", el("strong", {}, short(value, 4)))];
}

/** A bar for each of the largest terms of a sum, the rest as one. */
function weighted(terms, bias, value) {
  const order = [...terms].sort((a, b) => Math.abs(b.product) - Math.abs(a.product)), shown = order.slice(0, TERMS);
  const top = Math.max(...shown.map(({ product }) => Math.abs(product)), 1e-12), rest = order.slice(TERMS);
  return [el("h5", {}, say("strongest")), el("table", { class: "weighted" }, shown.map(({ name, x, weight, product }) =>
    el("tr", {}, el("th", {}, name), el("td", {}, `${short(weight)} × ${short(x)}`), el("td", { class: "meter" },
      el("i", { style: `width:${(50 * Math.abs(product)) / top}%;${product < 0 ? "right:50%" : "left:50%"};background:${colour(product * 0.8, top)}` })),
      el("td", {}, short(product))))),
    line(short(shown.reduce((sum, { product }) => sum + product, 0)), rest.length ? `${term(rest.reduce((sum, { product }) => sum + product, 0))} (${say("otherInputs", rest.length)})` : "",
      bias === undefined ? "" : `${term(bias)} (${say("bias")})`, " = ", el("strong", {}, short(value, 4)))];
}

/** The index of a unit among a node's values. */
export const unitIndex = ({ shape }, [y, x, k]) => (y * asMap(shape)[1] + x) * asMap(shape)[2] + k;

function curve(before, after, node, page) {
  // The function itself, sampled by the layer from −4 to 4.
  const xs = Float32Array.from({ length: 81 }, (_, i) => (i - 40) / 10);
  const ys = page.sampled(node, xs), point = (v, w) => `${60 + 14 * Math.max(-4, Math.min(4, v))},${44 - 9 * Math.max(-4, Math.min(4, w))}`;
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 120 88");
  svg.setAttribute("class", "curve");
  const [cx, cy] = point(before, after).split(",");
  svg.innerHTML = `<path class="axis" d="M4 44H116M60 4V84"/><path d="M${Array.from(xs, (v, i) => point(v, ys[i])).join("L")}"/><circle cx="${cx}" cy="${cy}" r="3.5"/>`;
  return svg;
}

/** How the value of a unit of a node was computed. */
export function arithmetic(page, at, unit) {
  const node = page.net.nodes[at], tensors = page.net.tensors[at], value = page.values[at][unitIndex({ shape: page.shapes[at] }, unit)];
  if (page.recorded || !node.inputs.length) return [line(el("strong", {}, short(value, 5)))];
  const xs = node.inputs.map((input) => page.values[input]), [x] = xs, k = unit[2];
  if (["conv", "conv_transpose", "partial_conv"].includes(node.kind))
    return [...convolution(node, x, tensors, unit), ...(page.state.held ? contributions(page, node, x, tensors, k) : [])];
  if (node.windows.length) return pooling(node, x, tensors, value, unit);
  if (node.kind === "dense" || node.kind === "classifier") {
    const units = node.shape[0];
    const terms = Array.from(x, (v, i) => ({ name: page.nameOf(node.inputs[0], i), x: v, weight: tensors.kernel[i * units + k], product: v * tensors.kernel[i * units + k] }));
    const answer = at === page.net.output ? classArithmetic(page, k) : [];
    return [...weighted(terms, tensors.bias?.[k], value), ...answer];
  }
  if (["add", "multiply", "concat"].includes(node.kind)) return joining(page, node, xs, unit, value);
  if (node.kind === "batch_norm") {
    const deviation = `√(${short(tensors.variance[k])} + ${short(node.args.epsilon)})`;
    const before = x[unitIndex(node, unit)];
    return [line(`(${short(before)} − ${short(tensors.mean[k])}) / ${deviation}`, tensors.scale ? ` × ${short(tensors.scale[k])}` : "",
      tensors.bias ? term(tensors.bias[k]) : "", " = ", el("strong", {}, short(value, 4)))];
  }
  if (node.kind === "prelu") {
    const before = x[unitIndex(node, unit)], slope = tensors.slope[k % tensors.slope.length];
    return [line(short(before), before < 0 ? ` × ${short(slope)}` : "", " = ", el("strong", {}, short(value, 4)))];
  }
  if (node.kind === "embedding") {
    const word = page.vocabulary[x[unit[1]]] ?? x[unit[1]];
    return [line(`“${word}” [${k}] = `, el("strong", {}, short(value, 4)))];
  }
  if (node.kind === "flatten") return [line(`${page.nameOf(node.inputs[0], k)} = `, el("strong", {}, short(value, 4)))];
  if (node.kind.startsWith("adaptive")) {
    const values = binPlaces(node, unitIndex(node, unit)).map((place) => x[place]), width = asMap(node.shape)[1];
    const [left, right] = bin(unit[1], asMap(node.from)[1], width), won = node.kind === "adaptive_max_pool" ? values.indexOf(Math.max(...values)) : -1;
    return [matrix(values, right - left, largestOf(values), say("window"), won), el("p", {}, won < 0 ? say("mean", values.length) : say("winner")),
      line("= ", el("strong", {}, short(value, 4)))];
  }
  if (node.kind === "global_avg_pool" || node.kind === "global_max_pool") {
    const c = asMap(node.from)[2], values = Array.from(x).filter((_, i) => i % c === k), columns = asMap(node.from)[1];
    const won = node.kind === "global_max_pool" ? values.indexOf(Math.max(...values)) : -1;
    return [matrix(values, columns, largestOf(values), say("channel", k), won), el("p", {}, won < 0 ? say("mean", values.length) : say("winner")),
      line("= ", el("strong", {}, short(value, 4)))];
  }
  const same = node.from.length === node.shape.length && node.from.every((size, axis) => size === node.shape[axis]);
  const before = same ? x[unitIndex(node, unit)] : NaN;
  const drawn = same && page.sampled(node, new Float32Array(1)) ? curve(before, value, node, page) : null;
  return [same ? line(`${say("before")} ${short(before, 4)} → ${say("after")} `, el("strong", {}, short(value, 4))) : line(el("strong", {}, short(value, 4))), drawn];
}

function joining(page, node, xs, unit, value) {
  if (node.kind === "concat") {
    let k = unit[2];
    const from = node.froms.findIndex((shape) => (k < shape[shape.length - 1] ? true : ((k -= shape[shape.length - 1]), false)));
    return [line(`${say("from", page.title(node.inputs[from]))}, ${say("channel", k)} = `, el("strong", {}, short(value, 4)))];
  }
  const index = unitIndex(node, unit), sign = node.kind === "add" ? " + " : " × ";
  return [line(xs.map((x, n) => `${n ? sign : ""}${short(x[index % x.length])}`).join(""), " = ", el("strong", {}, short(value, 4))),
    el("ul", {}, node.inputs.map((input, n) => el("li", {}, `${short(xs[n][index % xs[n].length])}: ${say("from", page.title(input))}`)))];
}

/** How a class got its probability. */
export function classArithmetic(page, k) {
  if (page.net.loss === "l2_loss") return [el("p", {}, say("l2")), line(`${page.classes[k]}: ${short(page.y[k])} → `, el("strong", {}, short(page.probabilities[k], 4)))];
  const top = page.y.reduce((a, b) => Math.max(a, b)), p = softmax(page.y, page.y.length);
  const powers = page.y.map((v) => Math.exp(v - top)), total = powers.reduce((a, b) => a + b, 0);
  return [el("h5", {}, say("softmax")), line(`z = ${short(page.y[k])}, max z = ${short(top)}`),
    line(`e^(${short(page.y[k])} − ${short(top)}) / Σ = ${short(powers[k])} / ${short(total)} = `, el("strong", {}, short(p[k], 4)))];
}

export const where = (node, [y, x, k]) =>
  node.shape.length === 1 ? say("atFlat", k) : node.shape.length === 2 ? say("atSignal", x, k) : say("at", y, x, k);

