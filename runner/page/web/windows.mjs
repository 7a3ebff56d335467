// Layers with a sliding window: convolutions and poolings, also the global ones.
import { convolve, convolveBack, largest, padded, sums, unpadded } from "./convolution.mjs";
import { asMap, channelsOf, perChannel, scaled } from "./shapes.mjs";

/** The windows of both axes; a signal has one axis, along its width. */
const bothAxes = (windows) => (windows.length === 1 ? [[1, 1, 1, 0, 0], ...windows] : windows);

/** An input as a layer with a window reads it: padded, unless by zeros. */
function windowed(x, { from, windows, args }) {
  const shape = asMap(from), both = bothAxes(windows), mode = args.padding_mode ?? "zeros";
  const pads = mode !== "zeros" && both.some(([, , , low, high]) => low || high);
  return pads ? padded(x, shape, both, mode) : { x, shape, windows: both, rows: null };
}

const restored = (g, given, { from }) => (given.rows ? unpadded(g, asMap(from), given) : g);

const conv = {
  forward([x], t, node) {
    const given = windowed(x, node), filters = node.shape[node.shape.length - 1];
    return convolve(given.x, given.shape, given.windows, t.kernel, filters, node.args.groups ?? 1, t.bias);
  },
  back([x], y, g, t, node) {
    const given = windowed(x, node), filters = node.shape[node.shape.length - 1];
    const by = convolveBack(given.x, given.shape, given.windows, t.kernel, filters, node.args.groups ?? 1, g);
    return { xs: [restored(by.x, given, node)], t: t.bias ? { kernel: by.kernel, bias: by.bias } : { kernel: by.kernel } };
  },
};

/** Where each weight of a partial convolution, (taps, connections), is in a full kernel (taps, channels, filters). */
function partialPlaces(taps, { from, shape, args: { connections } }) {
  const channels = from[from.length - 1], filters = shape[shape.length - 1];
  const ends = connections.flatMap((seen, filter) => seen.map((channel) => channel * filters + filter));
  return Array.from({ length: taps }, (_, tap) => ends.map((end) => tap * channels * filters + end)).flat();
}

function fullKernel(t, node) {
  const count = node.args.connections.flat().length, taps = t.kernel.length / count;
  const full = new Float32Array(taps * channelsOf(node) * node.shape[node.shape.length - 1]);
  const places = partialPlaces(taps, node);
  places.forEach((to, i) => (full[to] = t.kernel[i]));
  return { full, places };
}

const partialConv = {
  forward: (xs, t, node) => conv.forward(xs, { ...t, kernel: fullKernel(t, node).full }, node),
  back(xs, y, g, t, node) {
    const { full, places } = fullKernel(t, node), found = conv.back(xs, y, g, { ...t, kernel: full }, node);
    return { xs: found.xs, t: { ...found.t, kernel: Float32Array.from(places, (at) => found.t.kernel[at]) } };
  },
};

/** The winner of each output of a max pool, as a place in its input; −1 in padding. */
export function winners(x, node) {
  const given = windowed(x, node);
  const { winner } = largest(given.x, given.shape, given.windows);
  if (!given.rows) return winner;
  const [, width, c] = given.shape, w = asMap(node.from)[1];
  return winner.map((at) => {
    const place = Math.floor(at / c);
    return (given.rows[Math.floor(place / width)] * w + given.columns[place % width]) * c + (at % c);
  });
}

const maxPool = {
  forward([x], t, node) {
    const given = windowed(x, node);
    return largest(given.x, given.shape, given.windows).y;
  },
  back([x], y, g, t, node) {
    const out = new Float32Array(x.length);
    winners(x, node).forEach((from, i) => from >= 0 && (out[from] += g[i]));
    return { xs: [out], t: {} };
  },
};

const sumPool = {
  forward([x], t, node) {
    const given = windowed(x, node);
    return sums(given.x, given.shape, given.windows);
  },
  back([x], y, g, t, node) {
    const given = windowed(x, node);
    return { xs: [restored(sums(given.x, given.shape, given.windows, g), given, node)], t: {} };
  },
};

/** For each output the number of pixels that its mean is over; t.counts has one for each position. */
const overCounts = (values, t, node) => values.map((v, i) => v / t.counts[Math.floor(i / channelsOf(node))]);

const avgPool = {
  forward: (xs, t, node) => overCounts(sumPool.forward(xs, t, node), t, node),
  back: (xs, y, g, t, node) => sumPool.back(xs, y, overCounts(g, t, node), t, node),
};

const subsampling = {
  forward: (xs, t, node) => scaled(sumPool.forward(xs, t, node), t.scale, t.bias, channelsOf(node)),
  back(xs, y, g, t, node) {
    const c = channelsOf(node), total = sumPool.forward(xs, t, node);
    const { xs: back } = sumPool.back(xs, y, scaled(g, t.scale, null, c), t, node);
    return { xs: back, t: { scale: perChannel(g, c, (v, i) => v * total[i]), bias: perChannel(g, c) } };
  },
};

const globalAvg = {
  forward([x], t, node) {
    const c = channelsOf(node);
    return perChannel(x, c).map((v) => v / (x.length / c));
  },
  back([x], y, g, t, node) {
    const c = channelsOf(node);
    return { xs: [x.map((_, i) => g[i % c] / (x.length / c))], t: {} };
  },
};

const globalMax = {
  forward([x], t, node) {
    const c = channelsOf(node), y = new Float32Array(c).fill(-Infinity);
    for (let i = 0; i < x.length; i++) y[i % c] = Math.max(y[i % c], x[i]);
    return y;
  },
  back([x], y, g, t, node) {
    const c = channelsOf(node), equal = perChannel(x, c, (v, i) => (v === y[i % c] ? 1 : 0));
    return { xs: [x.map((v, i) => (v === y[i % c] ? g[i % c] / equal[i % c] : 0))], t: {} };
  },
};

export const WINDOWED = {
  conv,
  partial_conv: partialConv,
  max_pool: maxPool,
  avg_pool: avgPool,
  sum_pool: sumPool,
  subsampling,
  global_avg_pool: globalAvg,
  global_max_pool: globalMax,
};
