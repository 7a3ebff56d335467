// Colours and maps on canvases: one colour scale, blue above zero and orange below, which the colour-blind tell apart.
import { asMap } from "./shapes.mjs";

const STEPS = 255;
const POSITIVE = [[247, 247, 247], [146, 197, 222], [33, 102, 172], [5, 48, 97]];
const NEGATIVE = [[247, 247, 247], [253, 184, 99], [224, 130, 20], [127, 59, 8]];

function between(colours, at) {
  const place = at * (colours.length - 1), first = Math.min(Math.floor(place), colours.length - 2);
  return colours[first].map((v, i) => Math.round(v + (colours[first + 1][i] - v) * (place - first)));
}

/** 511 colours from the most negative to the most positive, as numbers that a canvas stores. */
const TABLE = Uint32Array.from({ length: 2 * STEPS + 1 }, (_, i) => {
  const at = (i - STEPS) / STEPS, [r, g, b] = between(at < 0 ? NEGATIVE : POSITIVE, Math.abs(at));
  return (255 << 24) | (b << 16) | (g << 8) | r;
});

const stepOf = (v, scale) => Math.max(0, Math.min(2 * STEPS, Math.round((v / scale) * STEPS) + STEPS));

/** The colour of a value as CSS has it; values of ±scale have the strongest colours. */
export function colour(v, scale) {
  const c = TABLE[stepOf(v, scale || 1)];
  return `rgb(${c & 255} ${(c >> 8) & 255} ${(c >> 16) & 255})`;
}

/** Black or white, whichever is read on a value's colour. */
export const ink = (v, scale) => (Math.abs(v / (scale || 1)) > 0.55 ? "#fff" : "#222");

export const largestOf = (values) => {
  let top = 0;
  for (let i = 0; i < values.length; i++) {
    const v = Math.abs(values[i]);
    if (v > top && v < Infinity) top = v;
  }
  return top;
};

const GAP = 6;

/** How the maps of a node are laid out in so many pixels of width: tiles side by side, or cells of a flat vector. */
export function layout(shape, width, side = 0) {
  const [h, w, c] = asMap(shape), tile = side || (c <= 8 ? 84 : c <= 32 ? 66 : 44);
  if (shape.length === 1) {
    const cell = c <= 12 ? 34 : c <= 130 ? 18 : c <= 1100 ? 10 : 5;
    const columns = Math.max(1, Math.min(c, Math.floor((width + 1) / (cell + 1))));
    const rows = Math.ceil(c / columns);
    return { flat: true, cell, columns, h: 1, w: 1, c, width: columns * (cell + 1) - 1, height: rows * (cell + 1) - 1 };
  }
  if (shape.length === 2) {
    // A signal, or a text: positions from left to right, channels from top to bottom.
    const zoom = Math.max(1, Math.min(24, Math.floor(width / w))), tall = Math.max(1, Math.min(24, Math.floor(240 / c)));
    return { signal: true, zoom, tall, h: 1, w, c, width: w * zoom, height: c * tall };
  }
  const zoom = w > tile ? tile / w : Math.max(1, Math.floor(tile / w));
  const tw = Math.max(1, Math.round(w * zoom)), th = Math.max(1, Math.round(h * zoom));
  const columns = Math.max(1, Math.min(c, Math.floor((width + GAP) / (tw + GAP)))), rows = Math.ceil(c / columns);
  return { zoom, tw, th, columns, h, w, c, width: columns * (tw + GAP) - GAP, height: rows * (th + GAP) - GAP };
}

/** The rectangle of a box of positions [[y, y], [x, x]] of one channel on the canvas. */
export function rectangle(at, [[top, bottom], [left, right]], k) {
  if (at.flat) {
    const x = (k % at.columns) * (at.cell + 1), y = Math.floor(k / at.columns) * (at.cell + 1);
    return [x, y, at.cell, at.cell];
  }
  if (at.signal) return [left * at.zoom, k * at.tall, (right - left + 1) * at.zoom, at.tall];
  const x = (k % at.columns) * (at.tw + GAP), y = Math.floor(k / at.columns) * (at.th + GAP);
  return [x + left * at.zoom, y + top * at.zoom, (right - left + 1) * at.zoom, (bottom - top + 1) * at.zoom];
}

/** The unit (row, column, channel) under a point of the canvas; null between the maps. */
export function unitAt(at, px, py) {
  if (at.flat) {
    const k = Math.floor(py / (at.cell + 1)) * at.columns + Math.floor(px / (at.cell + 1));
    return k >= 0 && k < at.c && px < at.width ? [0, 0, k] : null;
  }
  if (at.signal) {
    const x = Math.floor(px / at.zoom), k = Math.floor(py / at.tall);
    return x >= 0 && x < at.w && k >= 0 && k < at.c ? [0, x, k] : null;
  }
  const column = Math.floor(px / (at.tw + GAP)), row = Math.floor(py / (at.th + GAP));
  const x = Math.floor((px - column * (at.tw + GAP)) / at.zoom), y = Math.floor((py - row * (at.th + GAP)) / at.zoom);
  const k = row * at.columns + column;
  const inside = column < at.columns && x >= 0 && x < at.w && y >= 0 && y < at.h && k >= 0 && k < at.c;
  return inside ? [y, x, k] : null;
}

/** Draws every map of a node. */
export function drawMaps(canvas, values, at, scale) {
  canvas.width = Math.max(1, at.width);
  canvas.height = Math.max(1, at.height);
  const context = canvas.getContext("2d"), image = context.createImageData(canvas.width, canvas.height);
  const pixels = new Uint32Array(image.data.buffer), stride = canvas.width, by = scale || 1;
  for (let k = 0; k < at.c; k++) {
    if (at.flat) fill(pixels, stride, rectangle(at, [[0, 0], [0, 0]], k), TABLE[stepOf(values[k], by)]);
    else if (at.signal)
      for (let x = 0; x < at.w; x++)
        fill(pixels, stride, rectangle(at, [[0, 0], [x, x]], k), TABLE[stepOf(values[x * at.c + k], by)]);
    else {
      const [left, top] = rectangle(at, [[0, 0], [0, 0]], k);
      for (let y = 0; y < at.th; y++) {
        const row = Math.min(Math.floor(y / at.zoom), at.h - 1) * at.w;
        for (let x = 0, to = (top + y) * stride + left; x < at.tw; x++, to++) {
          const v = values[(row + Math.min(Math.floor(x / at.zoom), at.w - 1)) * at.c + k];
          pixels[to] = TABLE[stepOf(v, by)];
        }
      }
    }
  }
  context.putImageData(image, 0, 0);
}

function fill(pixels, stride, [left, top, width, height], value) {
  for (let y = top; y < top + height; y++) pixels.fill(value, y * stride + left, y * stride + left + width);
}

/**
 * Draws the filters of a kernel (h, w, 1 | 3, filters) as tiles: of three channels as colours around grey.
 *
 * Each is above its map, of those in `maps`, if these are all in one row.
 */
export function drawFilters(canvas, kernel, [h, w, c, count], width, maps, scale, marked = -1) {
  const zoom = Math.max(2, Math.floor((count > 32 ? 30 : 40) / Math.max(h, w))), tw = w * zoom, th = h * zoom;
  const gap = maps.columns >= count ? Math.max(4, maps.tw + GAP - tw) : 4, start = gap === 4 ? 0 : Math.floor((maps.tw - tw) / 2);
  const columns = Math.max(1, Math.min(count, Math.floor((width + gap) / (tw + gap))));
  canvas.width = start + columns * (tw + gap) - gap;
  canvas.height = Math.ceil(count / columns) * (th + 4) - 4;
  const context = canvas.getContext("2d");
  const grey = (v) => Math.max(0, Math.min(255, Math.round(128 + (127 * v) / (scale || 1))));
  for (let k = 0; k < count; k++) {
    const left = start + (k % columns) * (tw + gap), top = Math.floor(k / columns) * (th + 4);
    for (let tap = 0; tap < h * w; tap++) {
      const [r, g, b] = [0, 1, 2].map((channel) => kernel[(tap * c + Math.min(channel, c - 1)) * count + k]);
      context.fillStyle = c === 1 ? colour(r, scale) : `rgb(${grey(r)} ${grey(g)} ${grey(b)})`;
      context.fillRect(left + (tap % w) * zoom, top + Math.floor(tap / w) * zoom, zoom, zoom);
    }
    if (k !== marked) continue;
    context.strokeStyle = "#d6006c", context.lineWidth = 2;
    context.strokeRect(left + 1, top + 1, tw - 2, th - 2);
  }
}

/** Draws data for a screen, bytes (h, w, 1 | 2 | 3 | 4), as large as the canvas. */
export function drawPicture(canvas, bytes, [h, w, c]) {
  const small = new OffscreenCanvas(w, h), image = new ImageData(w, h);
  for (let i = 0; i < h * w; i++) {
    for (let k = 0; k < 3; k++) image.data[4 * i + k] = bytes[i * c + (c >= 3 ? k : 0)];
    image.data[4 * i + 3] = c === 4 ? bytes[i * c + 3] : 255;
  }
  small.getContext("2d").putImageData(image, 0, 0);
  const context = canvas.getContext("2d");
  context.imageSmoothingEnabled = false;
  context.clearRect(0, 0, canvas.width, canvas.height);
  context.drawImage(small, 0, 0, canvas.width, canvas.height);
}
