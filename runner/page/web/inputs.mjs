// From what a person gives to what the first layer is given: the preprocessing of training, in its order.
//
// bytes → the unit of the data → the size of the input → (x − mean) / std; a text → words → tokens.

/** Bytes (0 … 255) in the unit of the training data: black and white are what they were there. */
export function inUnits(bytes, { dtype, black, white, data_shape: shape }) {
  if (dtype === "uint8") return Float32Array.from(bytes);
  const c = shape[shape.length - 1], of = (values, i) => values[values.length === 1 ? 0 : i % c];
  return Float32Array.from(bytes, (v, i) => of(black, i) + (v / 255) * (of(white, i) - of(black, i)));
}

/** Data as bytes for a screen: 0 is black, 255 white. */
export function forScreen(data, { dtype, black, white, data_shape: shape }) {
  if (dtype === "uint8") return Uint8ClampedArray.from(data);
  const c = shape[shape.length - 1], of = (values, i) => values[values.length === 1 ? 0 : i % c];
  return Uint8ClampedArray.from(data, (v, i) => (255 * (v - of(black, i))) / (of(white, i) - of(black, i)));
}

/** One input of the data as the first layer is given it. */
export function seen(data, input) {
  const { dtype, data_shape: shape, shape: target, fit, mean, std } = input;
  if (dtype === "int32") return Float32Array.from(data);
  const x = fitted(dtype === "uint8" ? data.map((v) => v / 255) : data, shape, target, fit, input.black);
  const c = target[target.length - 1], of = (values, i) => values[values.length === 1 ? 0 : i % c];
  return x.map((v, i) => (v - of(mean, i)) / of(std, i));
}

/** An image at the size of the input, as runner/data/fit.py makes it. */
export function fitted(x, shape, target, how, black) {
  if (shape.length !== 3 || shape.every((size, axis) => size === target[axis])) return x;
  const [h, w, c] = shape, [height, width] = target;
  if (how === "pad" || how === "crop") {
    const offset = (before, after) => Math.floor(Math.abs(after - before) / 2) * (how === "pad" ? 1 : -1);
    const top = offset(h, height), left = offset(w, width), out = new Float32Array(height * width * c);
    for (let i = 0; i < out.length; i++) {
      const k = i % c, column = (Math.floor(i / c) % width) - left, row = Math.floor(i / c / width) - top;
      const inside = row >= 0 && row < h && column >= 0 && column < w;
      out[i] = inside ? x[(row * w + column) * c + k] : black[black.length === 1 ? 0 : k];
    }
    return out;
  }
  return resampled(x, shape, target, [0, 0, h, w]);
}

/** The box [top, left, height, width] of an image, which may have fractions of pixels, at another size. */
export function resampled(x, [h, w, c], [height, width], [top, left, tall, wide]) {
  const down = weights(h, height, top, tall), across = weights(w, width, left, wide);
  const rows = new Float64Array(height * w * c);
  for (let y = 0; y < height; y++)
    for (const [row, share] of down[y])
      for (let i = 0; i < w * c; i++) rows[y * w * c + i] += share * x[row * w * c + i];
  const out = new Float64Array(height * width * c);
  for (let y = 0; y < height; y++)
    for (let column = 0; column < width; column++)
      for (const [from, share] of across[column])
        for (let k = 0; k < c; k++) out[(y * width + column) * c + k] += share * rows[(y * w + from) * c + k];
  return Float32Array.from(out);
}

/** For each new position its old ones with their weights: a triangle as wide as the coarser grid. */
function weights(before, after, start, span) {
  const ratio = span / after, reach = Math.max(ratio, 1);
  return Array.from({ length: after }, (_, at) => {
    const centre = start + (at + 0.5) * ratio - 0.5, found = [];
    for (let old = Math.max(0, Math.ceil(centre - reach)); old <= Math.min(before - 1, centre + reach); old++) {
      const share = 1 - Math.abs(centre - old) / reach;
      if (share > 0) found.push([old, share]);
    }
    const sum = found.reduce((all, [, share]) => all + share, 0);
    return found.map(([old, share]) => [old, share / sum]);
  });
}

const LETTER = "[\\p{L}\\p{N}_]", MARK = "\\p{M}", JOINERS = "\\u200c\\u200d", FLAGS = "[\\u{1f1e6}-\\u{1f1ff}]";
const TAGS = "\\u{e0020}-\\u{e007f}", TONES = "\\u{1f3fb}-\\u{1f3ff}";
const VISIBLE = "\\u0600-\\u0605\\u06dd\\u070f\\u0890\\u0891\\u08e2\\u{110bd}\\u{110cd}";
const PART = `${LETTER}(?:${LETTER}|${MARK})*(?:[${JOINERS}]+(?:${LETTER}|${MARK})+)*`;
const SIGN = `(?!${LETTER}|[\\s\\0-\\x1f\\x7f-\\x9f${JOINERS}${TAGS}]|${MARK}).[${TONES}${TAGS}\\p{M}]*`;
const WORD = new RegExp(
  `${PART}(?:'${PART})*|${FLAGS}{2}|${SIGN}(?:\\u200d(?![\\0-\\u2189])${SIGN})*|${MARK}+`,
  "gsu",
);
const REMOVED = new RegExp(`(?![${JOINERS}${TAGS}${VISIBLE}])\\p{Cf}`, "gu");

/** A text's words in lower case, as runner/data/vocabulary.py splits it. */
export function words(text) {
  const plain = text.normalize("NFC").toLowerCase().replace(/’/g, "'").replace(/\u200b/g, " ").replace(REMOVED, "");
  return plain.match(WORD) ?? [];
}

/** A text's first words as tokens: 0 pads, 1 is any word that training did not have. */
export function tokens(text, vocabulary, length) {
  const numbers = new Map(vocabulary.map((word, number) => [word, number])), found = new Float32Array(length);
  words(text).slice(0, length).forEach((word, at) => (found[at] = numbers.get(word) ?? 1));
  return found;
}
