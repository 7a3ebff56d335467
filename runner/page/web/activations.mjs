// Activations: functions of each value, with their slopes; softmax is a function of the channels of a position.
import { channelsOf, perChannel } from "./shapes.mjs";

/** A function of each value; slope(x, y, args) is its derivative. */
function pointwise(value, slope) {
  return {
    forward: ([x], _, { args }) => x.map((v) => value(v, args)),
    back: ([x], y, g, _, { args }) => ({ xs: [g.map((v, i) => v * slope(x[i], y[i], args))], t: {} }),
  };
}

const sigmoid = (v) => 1 / (1 + Math.exp(-v));

/** The error function, to 1.2e-7. Source: Numerical Recipes, erfc by a Chebyshev fit. */
function erf(v) {
  const z = Math.abs(v), t = 1 / (1 + z / 2);
  const terms = [-1.26551223, 1.00002368, 0.37409196, 0.09678418, -0.18628806, 0.27886807, -1.13520398, 1.48851587];
  const series = [...terms, -0.82215223, 0.17087277].reduceRight((sum, term) => term + t * sum, 0);
  const tail = t * Math.exp(-z * z + series);
  return v >= 0 ? 1 - tail : tail - 1;
}

/** ln(1 + eᵛ), which is v itself where the power would overflow. */
const softplus = (v) => (v > 30 ? v : Math.log1p(Math.exp(v)));

function mishSlope(v) {
  const t = Math.tanh(softplus(v));
  return t + v * (1 - t * t) * sigmoid(v);
}

const prelu = {
  forward: ([x], { slope }) => x.map((v, i) => (v > 0 ? v : v * slope[i % slope.length])),
  back([x], y, g, { slope }) {
    const by = perChannel(g, slope.length, (v, i) => (x[i] > 0 ? 0 : v * x[i]));
    return { xs: [g.map((v, i) => (x[i] > 0 ? v : v * slope[i % slope.length]))], t: { slope: by } };
  },
};

const normal = (v) => (1 + erf(v / Math.SQRT2)) / 2;
const BY_TANH = Math.sqrt(2 / Math.PI);

function gelu(v, { approximate }) {
  return approximate ? (v / 2) * (1 + Math.tanh(BY_TANH * (v + 0.044715 * v ** 3))) : v * normal(v);
}

function geluSlope(v, _, { approximate }) {
  if (!approximate) return normal(v) + (v * Math.exp((-v * v) / 2)) / Math.sqrt(2 * Math.PI);
  const t = Math.tanh(BY_TANH * (v + 0.044715 * v ** 3));
  return (1 + t) / 2 + (v / 2) * (1 - t * t) * BY_TANH * (1 + 3 * 0.044715 * v * v);
}

/** Softmax over the last axis, of so many values. */
export function softmax(x, count) {
  const y = new Float32Array(x.length);
  for (let at = 0; at < x.length; at += count) {
    let top = -Infinity, sum = 0;
    for (let k = 0; k < count; k++) top = Math.max(top, x[at + k]);
    for (let k = 0; k < count; k++) sum += Math.exp(x[at + k] - top);
    for (let k = 0; k < count; k++) y[at + k] = Math.exp(x[at + k] - top) / sum;
  }
  return y;
}

const softmaxLayer = {
  forward: ([x], t, node) => softmax(x, channelsOf(node)),
  back(xs, y, g, t, node) {
    const c = channelsOf(node), along = new Float64Array(y.length / c);
    for (let i = 0; i < y.length; i++) along[Math.floor(i / c)] += y[i] * g[i];
    return { xs: [y.map((v, i) => v * (g[i] - along[Math.floor(i / c)]))], t: {} };
  },
};

export const ACTIVATIONS = {
  relu: pointwise((v) => Math.max(v, 0), (v) => (v > 0 ? 1 : 0)),
  relu6: pointwise((v) => Math.min(Math.max(v, 0), 6), (v) => (v > 0 && v < 6 ? 1 : 0)),
  leaky_relu: pointwise(
    (v, { negative_slope: slope }) => (v >= 0 ? v : v * slope),
    (v, y, { negative_slope: slope }) => (v >= 0 ? 1 : slope),
  ),
  elu: pointwise((v, { alpha }) => (v > 0 ? v : alpha * Math.expm1(v)), (v, y, { alpha }) => (v > 0 ? 1 : y + alpha)),
  gelu: pointwise(gelu, geluSlope),
  silu: pointwise((v) => v * sigmoid(v), (v) => sigmoid(v) * (1 + v * (1 - sigmoid(v)))),
  hard_swish: pointwise(
    (v) => (v * Math.min(Math.max(v + 3, 0), 6)) / 6,
    (v) => (v <= -3 ? 0 : v >= 3 ? 1 : (2 * v + 3) / 6),
  ),
  mish: pointwise((v) => v * Math.tanh(softplus(v)), mishSlope),
  prelu,
  tanh: pointwise(Math.tanh, (v, y) => 1 - y * y),
  scaled_tanh: pointwise(
    (v) => 1.7159 * Math.tanh((2 / 3) * v),
    (v, y) => 1.7159 * (2 / 3) * (1 - (y / 1.7159) ** 2),
  ),
  sigmoid: pointwise(sigmoid, (v, y) => y * (1 - y)),
  scale: pointwise((v, { factor }) => v * factor, (v, y, { factor }) => factor),
  softmax: softmaxLayer,
};
