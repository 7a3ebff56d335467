// What a unit sees: the rectangle of each earlier layer that its value depends on.
import { bin } from "./adaptive.mjs";
import { asMap } from "./shapes.mjs";
import { backwards } from "./transposed.mjs";

const WHOLE = new Set(["flatten", "dense", "classifier", "global_avg_pool", "global_max_pool"]);

/** The positions of the input of a window that outputs `first` … `last` along an axis depend on. */
function behind([first, last], [size, stride, dilation, low], length, mode) {
  let from = first * stride - low, to = last * stride - low + dilation * (size - 1);
  if (mode === "circular" && (from < 0 || to >= length)) return [0, length - 1];
  if (mode === "reflect") [from, to] = [to >= length ? Math.min(from, 2 * (length - 1) - to) : from, Math.max(to, -from)];
  return [Math.min(Math.max(from, 0), length - 1), Math.max(Math.min(to, length - 1), 0)];
}

/** The rectangle of one input that a rectangle of a node's output depends on; each is [rows, columns]. */
function before(node, box, from) {
  const [h, w] = asMap(from), [height, width] = asMap(node.shape);
  const everything = [[0, h - 1], [0, w - 1]];
  if (WHOLE.has(node.kind)) return everything;
  if (node.kind === "upsample") {
    const part = ([first, last], length, longer) => [first, last].map((at) => Math.floor((at * length) / longer));
    return [part(box[0], h, height), part(box[1], w, width)];
  }
  if (node.kind === "conv_transpose") {
    // From the first pixel whose filter ends behind the beginning to the last one whose filter begins before the end.
    const clamped = (at, length) => Math.min(Math.max(at, 0), length - 1);
    const part = ([first, last], [size, stride, dilation, low], length) =>
      [Math.ceil((first + low - dilation * (size - 1)) / stride), Math.floor((last + low) / stride)].map((at) => clamped(at, length));
    const [wy, wx] = backwards(node);
    return [part(box[0], wy, h), part(box[1], wx, w)];
  }
  if (node.kind.startsWith("adaptive")) {
    const part = ([first, last], length, count) => [bin(first, length, count)[0], bin(last, length, count)[1] - 1];
    return [part(box[0], h, height), part(box[1], w, width)];
  }
  if (node.windows.length) {
    const [wy, wx] = node.windows.length === 1 ? [[1, 1, 1, 0, 0], ...node.windows] : node.windows;
    return [behind(box[0], wy, h, node.args.padding_mode), behind(box[1], wx, w, node.args.padding_mode)];
  }
  return h === height && w === width ? box : everything; // a flat input multiplies every position
}

/** For every node that a unit at (y, x) of a node depends on, the rectangle that it sees; null for the others. */
export function seenBy(nodes, at, y, x) {
  const boxes = Array(nodes.length).fill(null);
  boxes[at] = [[y, y], [x, x]];
  for (let here = at; here > 0; here--) {
    const box = boxes[here];
    if (!box) continue;
    for (const input of nodes[here].inputs) {
      const own = before(nodes[here], box, nodes[input].shape), known = boxes[input];
      boxes[input] = known
        ? known.map(([first, last], axis) => [Math.min(first, own[axis][0]), Math.max(last, own[axis][1])])
        : own;
    }
  }
  return boxes;
}
