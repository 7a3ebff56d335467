// One step of gradient descent on the image that is shown: the loss, the gradient at each layer, the weights after.
import { el, percent, short } from "./dom.mjs";
import { backward, forward, loss, outputs, probabilities, stepped } from "./engine.mjs";
import { colour } from "./paint.mjs";
import { say } from "./texts.mjs";

const norm = (values) => Math.sqrt(values.reduce((sum, v) => sum + v * v, 0));

/** The step that an image and its class give at a learning rate: the loss and the outputs before and after it. */
export function oneStep(net, values, target, rate) {
  const y = outputs({ ...net, mirrored: false }, values), before = loss(net, y, target);
  const gradients = backward(net, values, Float32Array.from(before.g));
  const after = stepped(net, gradients.tensors, rate);
  const next = forward(after, values[0])[net.output];
  return { y, before: before.value, gradients, net: after, next, after: loss(net, next, target).value };
}

/** The loss with its numbers. */
function lossText(net, y, target, value) {
  if (net.loss === "l2_loss") {
    const terms = Array.from(y, (v, k) => `(${k === target ? 1 : 0} − ${short(v, 2)})²`);
    const shown = terms.length > 6 ? [...terms.slice(0, 5), "…"] : terms;
    return `½ (${shown.join(" + ")}) = ${short(value, 4)}`;
  }
  if (net.loss === "multiclass_hinge_loss") return `max(0, 1 + max z − z[${target}]) = ${short(value, 4)}`;
  const p = probabilities(net, y)[target];
  if (net.loss === "softmax_focal_loss") return `−(1 − ${short(p, 4)})^${short(net.gamma, 3)} · log ${short(p, 4)} = ${short(value, 4)}`;
  return net.smoothing ? `−Σ t · log p = ${short(value, 4)}` : `−log ${short(p, 4)} = ${short(value, 4)}`;
}

/** The panel. Its button gives the page the network after the step. */
export function learningPanel(page) {
  const body = el("div"), target = el("select", { id: "target", onchange: () => ((follows = false), draw()) });
  const rate = el("input", { id: "rate", type: "range", min: -4, max: 0.5, step: 0.1, value: -3, oninput: () => draw() });
  const rateText = el("b"), count = el("span");
  let follows = true, step = null;
  const take = el("button", { id: "take-step", class: "main", onclick: () => page.learn(step.net) }, say("step"));
  const reset = el("button", { id: "reset", onclick: () => page.learn(null) }, say("reset"));
  function draw() {
    const known = page.examples[page.state.example]?.label;
    const k = follows ? (known ?? page.probabilities.indexOf(page.probabilities.reduce((a, b) => Math.max(a, b)))) : Number(target.value);
    target.replaceChildren(...page.classes.map((name, at) => el("option", { value: at, selected: at === k }, name)));
    const by = 10 ** Number(rate.value);
    rateText.textContent = short(by, 2);
    step = oneStep(page.net, page.values, k, by);
    const { y, next, gradients } = step, [p, q] = [y, next].map((z) => probabilities(page.net, z)[k]);
    count.textContent = page.steps ? say("taken", page.steps) : "";
    body.replaceChildren(
      el("table", { class: "facts" },
        el("tr", {}, el("th", {}, say("loss")), el("td", { id: "loss-before" }, lossText(page.net, y, k, step.before)), el("td", { id: "loss-after" }, `→ ${short(step.after, 4)}`)),
        el("tr", {}, el("th", {}, say("probability")), el("td", {}, percent(p)), el("td", { id: "after" }, `→ ${percent(q)}`))),
      outputTable(page, y, next, k), layerTable(page, gradients, step.net));
  }
  const element = el("div", {}, el("p", { class: "note" }, say("stepText")),
    el("p", { class: "choices" }, el("label", {}, say("target"), " ", target), el("label", {}, say("rate"), " ", rateText, rate)),
    el("p", { class: "choices" }, take, reset, count), body);
  return { element, draw };
}

function outputTable(page, y, next, target) {
  const order = Array.from(y, (_, k) => k).sort((a, b) => (b === target) - (a === target) || y[b] - y[a]).slice(0, 10).sort((a, b) => a - b);
  return el("table", { class: "numbers" }, el("tr", {}, el("th", {}, say("ofClass")), el("th", {}, say("target")), el("th", {}, say("output")), el("th", {}, say("after"))),
    order.map((k) => el("tr", { class: k === target ? "won" : "" }, el("td", {}, page.classes[k]), el("td", {}, k === target ? "1" : "0"), el("td", {}, short(y[k])), el("td", {}, short(next[k])))));
}

/** For each layer the size of the gradient, and the weight that moves most, before and after. */
function layerTable(page, gradients, after) {
  const rows = page.net.nodes.flatMap((node, at) => {
    const g = gradients.values[at];
    if (!g || at === 0) return [];
    const [name, by] = Object.entries(gradients.tensors[at] ?? {})[0] ?? [];
    let most = 0;
    if (by) by.forEach((v, i) => Math.abs(v) > Math.abs(by[most]) && (most = i));
    return [{ at, size: norm(g), name, by: by?.[most], old: by && page.net.tensors[at][name][most], now: by && after.tensors[at][name][most] }];
  });
  const top = Math.max(...rows.map(({ size }) => size), 1e-12);
  return el("table", { class: "numbers" },
    el("tr", {}, el("th", {}, say("layer")), el("th", {}, say("gradientOut")), el("th", {}, say("largestWeight"))),
    rows.reverse().map(({ at, size, name, by, old, now }) =>
      el("tr", {}, el("td", {}, el("button", { class: "link", onclick: () => page.go(at) }, page.title(at).replaceAll(".", ".\u200b"))), // a line may break after a dot
        el("td", { class: "meter" }, el("i", { style: `left:0;width:${(100 * size) / top}%;background:${colour(0.7, 1)}` }), el("span", {}, short(size, 2))),
        el("td", { class: "step" }, name ? [`${short(old, 4)} → ${short(now, 4)}`, el("small", {}, `− η·${by < 0 ? `(${short(by, 2)})` : short(by, 2)}`)] : ""))));
}
