// A network as a list of nodes, each after its inputs: forward, backward, probabilities, losses.
//
// model.nodes[0] is the input. A node is {kind, shape, inputs, windows, args, tensors: {name: [offset, shape]}}.
import { softmax } from "./activations.mjs";
import { OPERATIONS } from "./operations.mjs";
import { product } from "./shapes.mjs";

/** A model with its values: tensors of each node as views of the flat Float32Array. */
export function prepared(model, values) {
  const nodes = model.nodes.map((node) => {
    const froms = node.inputs.map((at) => model.nodes[at].shape);
    return { ...node, froms, from: froms[0] };
  });
  const tensors = model.nodes.map((node) =>
    Object.fromEntries(
      Object.entries(node.tensors).map(([name, [first, shape]]) => [name, values.subarray(first, first + product(shape))]),
    ),
  );
  return { ...model, nodes, tensors };
}

const LEARNT = new Set(["kernel", "bias", "scale", "slope", "table"]);

/** The network with values a step down the gradient; what batches measured stays. */
export function stepped(net, gradients, rate) {
  const tensors = net.tensors.map((own, at) =>
    Object.fromEntries(
      Object.entries(own).map(([name, values]) => {
        const by = gradients[at]?.[name];
        return [name, by && LEARNT.has(name) ? values.map((v, i) => v - rate * by[i]) : values];
      }),
    ),
  );
  return { ...net, tensors };
}

/** The output of one node. */
export const applied = (net, at, xs) =>
  OPERATIONS[net.nodes[at].kind].forward(xs, net.tensors[at], net.nodes[at]);

/** The value of every node for an input, Float32Array in the order of the axes. From a node on, if values are known. */
export function forward(net, x, known = null, after = 0) {
  const values = known ? known.slice(0, after + 1) : [x];
  for (let at = values.length; at < net.nodes.length; at++)
    values.push(applied(net, at, net.nodes[at].inputs.map((from) => values[from])));
  return values;
}

/** The outputs, which are the mean over an image and its mirror image where the run evaluates so. */
export function outputs(net, values) {
  const y = values[net.output];
  if (!net.mirrored) return y;
  const mirrored = forward(net, mirror(values[0], net.nodes[0].shape))[net.output];
  return y.map((v, i) => (v + mirrored[i]) / 2);
}

function mirror(x, [, w, c]) {
  return x.map((_, i) => {
    const at = Math.floor(i / c), column = at % w;
    return x[(at - column + (w - 1 - column)) * c + (i % c)];
  });
}

/** Class probabilities from outputs, as the loss has them. */
export function probabilities(net, y) {
  if (net.loss !== "l2_loss") return softmax(y, y.length);
  // The nearest distribution in squared error. Source: Duchi et al. 2008.
  const ordered = Array.from(y).sort((a, b) => b - a);
  let sum = 0, excess = -Infinity;
  ordered.forEach((v, i) => {
    sum += v;
    excess = Math.max(excess, (sum - 1) / (i + 1));
  });
  return y.map((v) => Math.max(v - excess, 0));
}

/** The loss of outputs for a class, and its gradient by the outputs. */
export function loss(net, y, target) {
  const wanted = Float64Array.from(y, (_, k) => (k === target ? 1 : 0));
  if (net.loss === "l2_loss") {
    const g = y.map((v, k) => v - wanted[k]);
    return { value: g.reduce((sum, v) => sum + (v * v) / 2, 0), g };
  }
  if (net.loss === "multiclass_hinge_loss") {
    let rival = target ? 0 : 1;
    y.forEach((v, k) => k !== target && v > y[rival] && (rival = k));
    const over = 1 + y[rival] - y[target];
    const sign = (k) => (over <= 0 ? 0 : k === rival ? 1 : k === target ? -1 : 0);
    return { value: Math.max(over, 0), g: y.map((_, k) => sign(k)) };
  }
  if (net.loss === "softmax_focal_loss") {
    const p = softmax(y, y.length), own = p[target], rest = Math.max(1 - own, Number.MIN_VALUE);
    const log = Math.log(own), weight = rest ** net.gamma;
    // The derivative by the target's own probability, times it: that of a softmax is p (δ − p).
    const slope = net.gamma * rest ** (net.gamma - 1) * own * log - weight;
    return { value: -weight * log, g: p.map((v, k) => slope * (wanted[k] - v)) };
  }
  const smooth = net.smoothing ?? 0, p = softmax(y, y.length);
  const soft = wanted.map((v) => v * (1 - smooth) + smooth / y.length);
  const top = y.reduce((a, b) => Math.max(a, b)), log = top + Math.log(y.reduce((s, v) => s + Math.exp(v - top), 0));
  return { value: soft.reduce((sum, t, k) => sum + t * (log - y[k]), 0), g: p.map((v, k) => v - soft[k]) };
}

/** Gradients by the value of every node, and by its tensors, from a gradient by the value of node `from`. */
export function backward(net, values, g, from = net.output) {
  const byValue = Array(net.nodes.length).fill(null), byTensor = Array(net.nodes.length).fill(null);
  byValue[from] = g;
  for (let at = from; at > 0; at--) {
    if (!byValue[at]) continue;
    const node = net.nodes[at], xs = node.inputs.map((input) => values[input]);
    const found = OPERATIONS[node.kind].back(xs, values[at], byValue[at], net.tensors[at], node);
    byTensor[at] = found.t;
    node.inputs.forEach((input, n) => {
      const own = found.xs[n], sum = byValue[input];
      byValue[input] = sum ? sum.map((v, i) => v + own[i]) : own;
    });
  }
  return { values: byValue, tensors: byTensor };
}
