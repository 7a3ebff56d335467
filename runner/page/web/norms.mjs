// Normalisation by what batches measured, over the channels of a position, over groups, and over neighbouring channels.
import { channelsOf, perChannel, scaled } from "./shapes.mjs";

const batchNorm = {
  forward([x], t, node) {
    const factor = this.factor(t, node);
    return scaled(x, factor, factor.map((f, k) => (t.bias ? t.bias[k] : 0) - t.mean[k] * f), channelsOf(node));
  },
  factor: (t, { args }) => t.variance.map((v, k) => (t.scale ? t.scale[k] : 1) / Math.sqrt(v + args.epsilon)),
  back([x], y, g, t, node) {
    const c = channelsOf(node), by = {};
    const centred = (v, i) => (v * (x[i] - t.mean[i % c])) / Math.sqrt(t.variance[i % c] + node.args.epsilon);
    if (t.scale) by.scale = perChannel(g, c, centred);
    if (t.bias) by.bias = perChannel(g, c);
    return { xs: [scaled(g, this.factor(t, node), null, c)], t: by };
  },
};

/** Normalisation of sets of values by their own mean and deviation; setsOf gives the set of each value. */
function normalised(setsOf) {
  /** The normalised values, 1 / deviation of each set, and the set of each value. */
  const normal = (x, node) => {
    const { of, count } = setsOf(x.length, node), each = x.length / count;
    const mean = new Float64Array(count), by = new Float64Array(count);
    for (let i = 0; i < x.length; i++) mean[of(i)] += x[i] / each;
    for (let i = 0; i < x.length; i++) by[of(i)] += (x[i] - mean[of(i)]) ** 2 / each;
    for (let s = 0; s < count; s++) by[s] = 1 / Math.sqrt(by[s] + node.args.epsilon);
    return { y: x.map((v, i) => (v - mean[of(i)]) * by[of(i)]), by, of, count, each };
  };
  return {
    forward([x], t, node) {
      const c = channelsOf(node), { y } = normal(x, node);
      return y.map((v, i) => v * (t.scale ? t.scale[i % c] : 1) + (t.bias ? t.bias[i % c] : 0));
    },
    back([x], y, g, t, node) {
      const c = channelsOf(node), { y: z, by, of, count, each } = normal(x, node), own = {};
      if (t.scale) own.scale = perChannel(g, c, (v, i) => v * z[i]);
      if (t.bias) own.bias = perChannel(g, c);
      const h = t.scale ? scaled(g, t.scale, null, c) : g;
      const mean = new Float64Array(count), along = new Float64Array(count);
      for (let i = 0; i < x.length; i++) (mean[of(i)] += h[i] / each), (along[of(i)] += (h[i] * z[i]) / each);
      return { xs: [h.map((v, i) => (v - mean[of(i)] - z[i] * along[of(i)]) * by[of(i)])], t: own };
    },
  };
}

/** The channels of each position. */
const layerNorm = normalised((length, node) => {
  const c = channelsOf(node);
  return { of: (i) => Math.floor(i / c), count: length / c };
});

/** Groups of channels, each over all positions; without groups every channel alone. */
const groupNorm = normalised((length, node) => {
  const c = channelsOf(node), count = node.args.groups ?? c, wide = c / count;
  return { of: (i) => Math.floor((i % c) / wide), count };
});

const responseNorm = {
  /** k + α Σ x² over the neighbouring channels of each value. */
  divisors(x, { args: { size, alpha, k } }, c) {
    const before = Math.min(size >> 1, c - 1), after = Math.min((size - 1) >> 1, c - 1);
    return Float64Array.from(x, (_, i) => {
      const own = i % c, start = i - own;
      let sum = 0;
      for (let j = Math.max(own - before, 0); j <= Math.min(own + after, c - 1); j++) sum += x[start + j] ** 2;
      return k + alpha * sum;
    });
  },
  forward([x], t, node) {
    const over = this.divisors(x, node, channelsOf(node));
    return x.map((v, i) => v * over[i] ** -node.args.beta);
  },
  back([x], y, g, t, node) {
    const c = channelsOf(node), over = this.divisors(x, node, c), { size, alpha, beta } = node.args;
    const before = Math.min(size >> 1, c - 1), after = Math.min((size - 1) >> 1, c - 1);
    const out = x.map((v, i) => {
      const own = i % c, start = i - own;
      let sum = 0; // over the values whose neighbourhood has this one
      for (let j = Math.max(own - after, 0); j <= Math.min(own + before, c - 1); j++)
        sum += (g[start + j] * x[start + j]) / over[start + j] ** (beta + 1);
      return g[i] * over[i] ** -beta - 2 * alpha * beta * v * sum;
    });
    return { xs: [out], t: {} };
  },
};

export const NORMS = {
  batch_norm: batchNorm,
  layer_norm: layerNorm,
  group_norm: groupNorm,
  instance_norm: groupNorm,
  local_response_norm: responseNorm,
};
