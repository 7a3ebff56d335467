// Sliding windows over maps in rows, (height, width, channels); a signal is a map of height 1.
//
// A window along an axis is [size, stride, dilation, low, high], as runner/geometry.py computes it.

/** A map padded by repeated pixels, and for each of its rows and columns the one that it repeats. */
export function padded(x, shape, windows, mode) {
  const [h, w, c] = shape, [wy, wx] = windows;
  const rows = repeated(h, wy, mode), columns = repeated(w, wx, mode);
  const out = new Float32Array(rows.length * columns.length * c);
  for (let i = 0, at = 0; i < rows.length; i++)
    for (let j = 0; j < columns.length; j++, at += c) {
      const from = (rows[i] * w + columns[j]) * c;
      for (let k = 0; k < c; k++) out[at + k] = x[from + k];
    }
  const bare = windows.map(([size, stride, dilation]) => [size, stride, dilation, 0, 0]);
  return { x: out, shape: [rows.length, columns.length, c], windows: bare, rows, columns };
}

/** The gradient of a map from that of the padded one: each pixel gets the sum over its copies. */
export function unpadded(g, shape, { rows, columns }) {
  const [h, w, c] = shape, out = new Float32Array(h * w * c);
  for (let i = 0, at = 0; i < rows.length; i++)
    for (let j = 0; j < columns.length; j++, at += c) {
      const to = (rows[i] * w + columns[j]) * c;
      for (let k = 0; k < c; k++) out[to + k] += g[at + k];
    }
  return out;
}

/** For each position of a padded axis the pixel that it repeats. */
function repeated(length, [, , , low, high], mode) {
  return Array.from({ length: low + length + high }, (_, at) => pixel(at - low, length, mode));
}

/** The pixel whose value stands at a place beside the axis; −1 where it is a zero. */
export function pixel(at, length, mode) {
  if (at >= 0 && at < length) return at;
  if (mode === "replicate") return Math.min(Math.max(at, 0), length - 1);
  if (mode === "circular") return ((at % length) + length) % length;
  if (mode === "reflect") return at < 0 ? -at : 2 * (length - 1) - at;
  return -1;
}

export const positions = (length, [size, stride, dilation, low, high]) =>
  Math.floor((length + low + high - dilation * (size - 1) - 1) / stride) + 1;

const transposed = new WeakMap();

/** A kernel (taps, filters) as (filters, taps): each filter in one piece. */
function filtersOf(kernel, filters) {
  let rows = transposed.get(kernel);
  if (!rows) {
    const taps = kernel.length / filters;
    rows = new Float64Array(kernel.length);
    for (let t = 0; t < taps; t++) for (let f = 0; f < filters; f++) rows[f * taps + t] = kernel[t * filters + f];
    transposed.set(kernel, rows);
  }
  return rows;
}

/** Calls use(position, patch) with the values under each position of the window, for one group of channels. */
function eachPatch(x, [h, w, c], [wy, wx], first, count, use) {
  const [kh, sy, dy, ty] = wy, [kw, sx, dx, tx] = wx;
  const height = positions(h, wy), width = positions(w, wx);
  const patch = new Float64Array(kh * kw * count);
  for (let oy = 0, at = 0; oy < height; oy++)
    for (let ox = 0; ox < width; ox++, at++) {
      for (let ky = 0, p = 0; ky < kh; ky++) {
        const y = oy * sy - ty + ky * dy, inside = y >= 0 && y < h;
        for (let kx = 0; kx < kw; kx++) {
          const column = ox * sx - tx + kx * dx;
          if (inside && column >= 0 && column < w) {
            let from = (y * w + column) * c + first;
            for (const end = p + count; p < end; ) patch[p++] = x[from++];
          } else for (const end = p + count; p < end; ) patch[p++] = 0;
        }
      }
      use(at, patch);
    }
}

/** The map that filters make of a map: kernel (kh, kw, channels / groups, filters). */
export function convolve(x, shape, windows, kernel, filters, groups, bias) {
  const per = filters / groups, channels = shape[2] / groups, taps = kernel.length / filters;
  const rows = filtersOf(kernel, filters);
  const count = positions(shape[0], windows[0]) * positions(shape[1], windows[1]);
  const out = new Float32Array(count * filters);
  for (let group = 0; group < groups; group++) {
    const begin = group * per, end = begin + per;
    eachPatch(x, shape, windows, group * channels, channels, (at, patch) => {
      let f = begin;
      for (; f + 4 <= end; f += 4) {
        // Four filters at once: each value of the patch is read once for all four.
        let a = 0, b = 0, c = 0, d = 0;
        for (let t = 0, i = f * taps, j = i + taps, k = j + taps, l = k + taps; t < taps; t++) {
          const v = patch[t];
          a += v * rows[i + t];
          b += v * rows[j + t];
          c += v * rows[k + t];
          d += v * rows[l + t];
        }
        const to = at * filters + f;
        out[to] = a, out[to + 1] = b, out[to + 2] = c, out[to + 3] = d;
      }
      for (; f < end; f++) {
        let a = 0;
        for (let t = 0, i = f * taps; t < taps; t++) a += patch[t] * rows[i + t];
        out[at * filters + f] = a;
      }
      if (bias) for (f = begin; f < end; f++) out[at * filters + f] += bias[f];
    });
  }
  return out;
}

/** The gradients of a convolution by its input, its kernel and its bias, from that by its output. */
export function convolveBack(x, shape, windows, kernel, filters, groups, g) {
  const [h, w, c] = shape, [[kh, sy, dy, ty], [kw, sx, dx, tx]] = windows;
  const per = filters / groups, channels = c / groups, taps = kernel.length / filters;
  const rows = filtersOf(kernel, filters), byRows = new Float64Array(kernel.length);
  const byInput = new Float64Array(x.length), bias = new Float64Array(filters), back = new Float64Array(taps);
  const width = positions(w, windows[1]);
  for (let group = 0; group < groups; group++)
    eachPatch(x, shape, windows, group * channels, channels, (at, patch) => {
      back.fill(0);
      for (let f = group * per; f < (group + 1) * per; f++) {
        const by = g[at * filters + f];
        if (by === 0) continue;
        bias[f] += by;
        for (let t = 0, i = f * taps; t < taps; t++, i++) {
          byRows[i] += by * patch[t];
          back[t] += by * rows[i];
        }
      }
      const oy = Math.floor(at / width), ox = at % width;
      for (let ky = 0, p = 0; ky < kh; ky++)
        for (let kx = 0; kx < kw; kx++, p += channels) {
          const y = oy * sy - ty + ky * dy, column = ox * sx - tx + kx * dx;
          if (y < 0 || y >= h || column < 0 || column >= w) continue;
          const to = (y * w + column) * c + group * channels;
          for (let k = 0; k < channels; k++) byInput[to + k] += back[p + k];
        }
    });
  const byKernel = new Float32Array(kernel.length);
  for (let f = 0; f < filters; f++) for (let t = 0; t < taps; t++) byKernel[t * filters + f] = byRows[f * taps + t];
  return { x: Float32Array.from(byInput), kernel: byKernel, bias: Float32Array.from(bias) };
}

/** Calls use(to, from) for every place under every position of a window: where their channels begin in the two maps. */
function eachPlace([h, w, c], [wy, wx], use) {
  const [kh, sy, dy, ty] = wy, [kw, sx, dx, tx] = wx, height = positions(h, wy), width = positions(w, wx);
  for (let oy = 0, at = 0; oy < height; oy++)
    for (let ox = 0; ox < width; ox++, at += c)
      for (let ky = 0; ky < kh; ky++)
        for (let kx = 0; kx < kw; kx++) {
          const y = oy * sy - ty + ky * dy, column = ox * sx - tx + kx * dx;
          if (y >= 0 && y < h && column >= 0 && column < w) use(at, (y * w + column) * c);
        }
}

const pooledSize = ([h, w, c], [wy, wx]) => positions(h, wy) * positions(w, wx) * c;

/** The largest value under each window, and the place of the first one that has it. */
export function largest(x, shape, windows) {
  const out = new Float32Array(pooledSize(shape, windows)).fill(-Infinity), winner = new Int32Array(out.length).fill(-1), c = shape[2];
  eachPlace(shape, windows, (to, from) => {
    for (let k = 0; k < c; k++)
      if (x[from + k] > out[to + k]) {
        out[to + k] = x[from + k];
        winner[to + k] = from + k;
      }
  });
  return { y: out, winner };
}

/** The sum under each window; given a gradient g, instead the gradient of the map. */
export function sums(x, shape, windows, g = null) {
  const out = new Float64Array(g ? shape[0] * shape[1] * shape[2] : pooledSize(shape, windows)), c = shape[2];
  eachPlace(shape, windows, (to, from) => {
    if (g) for (let k = 0; k < c; k++) out[from + k] += g[to + k];
    else for (let k = 0; k < c; k++) out[to + k] += x[from + k];
  });
  return Float32Array.from(out);
}
