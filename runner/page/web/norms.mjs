// Normalisation by what batches measured, over the channels of a position, and over neighbouring channels.
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

const layerNorm = {
  /** The normalised values, and 1 / deviation of each position. */
  normal(x, c, epsilon) {
    const y = new Float32Array(x.length), by = new Float64Array(x.length / c);
    for (let at = 0; at < x.length; at += c) {
      let mean = 0, variance = 0;
      for (let k = 0; k < c; k++) mean += x[at + k] / c;
      for (let k = 0; k < c; k++) variance += (x[at + k] - mean) ** 2 / c;
      by[at / c] = 1 / Math.sqrt(variance + epsilon);
      for (let k = 0; k < c; k++) y[at + k] = (x[at + k] - mean) * by[at / c];
    }
    return { y, by };
  },
  forward([x], t, node) {
    const c = channelsOf(node), { y } = this.normal(x, c, node.args.epsilon);
    return y.map((v, i) => v * (t.scale ? t.scale[i % c] : 1) + (t.bias ? t.bias[i % c] : 0));
  },
  back([x], y, g, t, node) {
    const c = channelsOf(node), { y: z, by } = this.normal(x, c, node.args.epsilon), own = {};
    if (t.scale) own.scale = perChannel(g, c, (v, i) => v * z[i]);
    if (t.bias) own.bias = perChannel(g, c);
    const out = new Float32Array(x.length), h = t.scale ? scaled(g, t.scale, null, c) : g;
    for (let at = 0; at < x.length; at += c) {
      let mean = 0, along = 0;
      for (let k = 0; k < c; k++) (mean += h[at + k] / c), (along += (h[at + k] * z[at + k]) / c);
      for (let k = 0; k < c; k++) out[at + k] = (h[at + k] - mean - z[at + k] * along) * by[at / c];
    }
    return { xs: [out], t: own };
  },
};

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

export const NORMS = { batch_norm: batchNorm, layer_norm: layerNorm, local_response_norm: responseNorm };
