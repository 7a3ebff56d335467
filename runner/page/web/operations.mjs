// Each kind of layer as a pair of functions: forward gives the output, back the gradients of inputs and tensors.
//
// forward(xs, t, node) → y; back(xs, y, g, t, node) → {xs: [gradient of each input], t: {name: gradient}}.
// Layers compute as in evaluation: dropout and side heads leave their input as it is, batch_norm uses what it measured.
import { ACTIVATIONS } from "./activations.mjs";
import { ADAPTIVE } from "./adaptive.mjs";
import { JOINS } from "./joins.mjs";
import { NORMS } from "./norms.mjs";
import { asMap, channelsOf } from "./shapes.mjs";
import { convTranspose } from "./transposed.mjs";
import { WINDOWED } from "./windows.mjs";

const same = { forward: ([x]) => x, back: (xs, y, g) => ({ xs: [g], t: {} }) };

const dense = {
  forward([x], t, { shape: [units] }) {
    const y = new Float64Array(units);
    if (t.bias) y.set(t.bias);
    for (let i = 0; i < x.length; i++) {
      const v = x[i];
      if (v !== 0) for (let o = 0, at = i * units; o < units; o++) y[o] += v * t.kernel[at + o];
    }
    return Float32Array.from(y);
  },
  back([x], y, g, t, { shape: [units] }) {
    const byInput = new Float32Array(x.length), kernel = new Float32Array(t.kernel.length);
    for (let i = 0; i < x.length; i++) {
      let sum = 0;
      for (let o = 0, at = i * units; o < units; o++) {
        sum += g[o] * t.kernel[at + o];
        kernel[at + o] = g[o] * x[i];
      }
      byInput[i] = sum;
    }
    return { xs: [byInput], t: t.bias ? { kernel, bias: Float32Array.from(g) } : { kernel } };
  },
};

const embedding = {
  rows: (x, t, { args: { dim } }) => Array.from(x, (v) => Math.min(Math.max(v, 0), t.table.length / dim - 1)),
  forward([x], t, node) {
    const { dim, zero_padding: zero } = node.args, y = new Float32Array(x.length * dim);
    this.rows(x, t, node).forEach((row, i) => {
      if (row !== 0 || !zero) y.set(t.table.subarray(row * dim, (row + 1) * dim), i * dim);
    });
    return y;
  },
  back([x], y, g, t, node) {
    const { dim, zero_padding: zero } = node.args, table = new Float32Array(t.table.length);
    this.rows(x, t, node).forEach((row, i) => {
      if (row !== 0 || !zero) for (let k = 0; k < dim; k++) table[row * dim + k] += g[i * dim + k];
    });
    return { xs: [new Float32Array(x.length)], t: { table } };
  },
};

const upsample = {
  /** For each output the place of its value in the input. */
  sources({ from, shape }) {
    const [h, w, c] = asMap(from), [height, width] = asMap(shape), out = new Int32Array(height * width * c);
    for (let y = 0, at = 0; y < height; y++)
      for (let x = 0; x < width; x++)
        for (let k = 0; k < c; k++) out[at++] = (Math.floor((y * h) / height) * w + Math.floor((x * w) / width)) * c + k;
    return out;
  },
  forward([x], t, node) {
    return Float32Array.from(this.sources(node), (from) => x[from]);
  },
  back([x], y, g, t, node) {
    const out = new Float32Array(x.length);
    this.sources(node).forEach((from, i) => (out[from] += g[i]));
    return { xs: [out], t: {} };
  },
};

const padChannels = {
  forward([x], t, node) {
    const c = channelsOf(node), wide = node.args.channels, y = new Float32Array((x.length / c) * wide);
    for (let i = 0; i < x.length; i++) y[Math.floor(i / c) * wide + (i % c)] = x[i];
    return y;
  },
  back([x], y, g, t, node) {
    const c = channelsOf(node), wide = node.args.channels;
    return { xs: [x.map((_, i) => g[Math.floor(i / c) * wide + (i % c)])], t: {} };
  },
};

const positionBias = {
  forward: ([x], t) => x.map((v, i) => v + t.bias[i]),
  back: (xs, y, g) => ({ xs: [g], t: { bias: Float32Array.from(g) } }),
};

export const OPERATIONS = {
  ...WINDOWED,
  ...ADAPTIVE,
  ...NORMS,
  ...ACTIVATIONS,
  ...JOINS,
  conv_transpose: convTranspose,
  dense,
  classifier: dense,
  embedding,
  upsample,
  pad_channels: padChannels,
  position_bias: positionBias,
  flatten: same,
  dropout: same,
  spatial_dropout: same,
  stochastic_depth: same,
  auxiliary: same,
};
