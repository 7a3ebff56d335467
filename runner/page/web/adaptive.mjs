// Adaptive pooling: the pixels of each bin, the mean and the largest value of a bin; as runner/layers/adaptive.py.
import { asMap } from "./shapes.mjs";

/** The first pixel of a bin of an axis, and the one after its last. */
export const bin = (i, length, count) => [Math.floor((i * length) / count), Math.ceil(((i + 1) * length) / count)];

/** The places in the input of the values of one output, row by row. */
export function binPlaces({ from, shape }, at) {
  const [h, w, c] = asMap(from), [height, width] = asMap(shape), found = [];
  const [top, bottom] = bin(Math.floor(at / c / width), h, height), [left, right] = bin(Math.floor(at / c) % width, w, width);
  for (let y = top; y < bottom; y++) for (let x = left; x < right; x++) found.push((y * w + x) * c + (at % c));
  return found;
}

const outputs = ({ shape }, of) => Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, at) => of(at));

const average = {
  forward: ([x], t, node) =>
    outputs(node, (at) => {
      const places = binPlaces(node, at);
      return places.reduce((sum, place) => sum + x[place], 0) / places.length;
    }),
  back([x], y, g, t, node) {
    const out = new Float32Array(x.length);
    g.forEach((v, at) => {
      const places = binPlaces(node, at);
      for (const place of places) out[place] += v / places.length;
    });
    return { xs: [out], t: {} };
  },
};

/** The first of the places that has the largest value. */
const winner = (x, places) => places.reduce((best, place) => (x[place] > x[best] ? place : best), places[0]);

const largest = {
  forward: ([x], t, node) => outputs(node, (at) => x[winner(x, binPlaces(node, at))]),
  back([x], y, g, t, node) {
    const out = new Float32Array(x.length);
    g.forEach((v, at) => (out[winner(x, binPlaces(node, at))] += v));
    return { xs: [out], t: {} };
  },
};

export const ADAPTIVE = { adaptive_avg_pool: average, adaptive_max_pool: largest };
