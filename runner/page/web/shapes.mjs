// Shapes, and sums over the positions of a map.

/** A shape as (height, width, channels): a signal has height 1, a flat vector one position. */
export const asMap = (shape) => [...Array(3 - shape.length).fill(1), ...shape];

/** The number of values. */
export const product = (shape) => shape.reduce((a, b) => a * b, 1);

/** The number of channels of a layer's input. */
export const channelsOf = (node) => node.from[node.from.length - 1];

/** The sums over positions of values (…, channels), for each channel. */
export function perChannel(values, channels, of = (v) => v) {
  const out = new Float64Array(channels);
  for (let i = 0; i < values.length; i++) out[i % channels] += of(values[i], i);
  return Float32Array.from(out);
}

/** y = x · factor + shift for each channel, and its gradient by x. */
export const scaled = (x, factor, shift, c) => x.map((v, i) => v * factor[i % c] + (shift ? shift[i % c] : 0));
