// Which places of the image the answer rests on: Grad-CAM, and occlusion by a grey square.
//
// Sources: Selvaraju et al. 2017, arXiv:1610.02391; Zeiler & Fergus 2014, arXiv:1311.2901.
import { el, percent } from "./dom.mjs";
import { backward, forward, outputs, probabilities } from "./engine.mjs";
import { forScreen } from "./inputs.mjs";
import { drawPicture, largestOf } from "./paint.mjs";
import { say } from "./texts.mjs";

// Bright, so that they are seen on black as well as on a photograph.
const FOR = [0, 170, 255], AGAINST = [255, 140, 0];

/** The last node with a map of two axes that is larger than one position; −1 if there is none. */
export const lastSpatial = (net) => net.nodes.findLastIndex(({ shape }, at) => at > 0 && shape.length === 3 && shape[0] * shape[1] > 1);

/** Whether there is something to look at: an image, and a map of two axes. */
export const seesPlaces = (net) => net.nodes[0].shape.length === 3 && lastSpatial(net) >= 0;

/** Grad-CAM of a class at a node: (h, w), not negative. */
export function gradCam(net, values, at, k) {
  const [h, w, c] = net.nodes[at].shape, g = new Float32Array(values[net.output].length);
  g[k] = 1;
  const by = backwardTo(net, values, g, at), map = new Float32Array(h * w), mean = new Float64Array(c);
  for (let i = 0; i < by.length; i++) mean[i % c] += by[i] / (h * w);
  for (let i = 0; i < by.length; i++) map[Math.floor(i / c)] += mean[i % c] * values[at][i];
  return map.map((v) => Math.max(v, 0));
}

/** The gradient by the value of a node; zeros where the outputs do not depend on it. */
function backwardTo(net, values, g, at) {
  return backward(net, values, g).values[at] ?? new Float32Array(values[at].length);
}

/** By how much hiding a square lowers the probability of a class: calls use(row, column, loss) from time to time. */
export async function occlusion(net, values, k, side, step, use, going) {
  const [h, w, c] = net.nodes[0].shape, whole = probabilities(net, outputs(net, values))[k];
  let rested = performance.now();
  for (let y = 0; y < h; y += step)
    for (let x = 0; x < w; x += step) {
      const hidden = values[0].slice();
      for (let row = Math.max(0, y - (side >> 1)); row < Math.min(h, y - (side >> 1) + side); row++)
        for (let column = Math.max(0, x - (side >> 1)); column < Math.min(w, x - (side >> 1) + side); column++)
          hidden.fill(0, (row * w + column) * c, (row * w + column + 1) * c);
      const found = forward(net, hidden);
      use(y, x, whole - probabilities(net, outputs(net, found))[k]);
      if (performance.now() - rested > 30) {
        await new Promise((done) => setTimeout(done));
        rested = performance.now();
        if (!going()) return;
      }
    }
}

/** The panel of both, for a network that sees places. */
export function attentionPanel(page) {
  const { net } = page, shape = net.nodes[0].shape, start = lastSpatial(net);
  const [h, w] = shape, side = Math.max(3, Math.round(Math.min(h, w) / 5)), step = Math.max(1, Math.round(Math.min(h, w) / 16));
  const size = { width: 168, height: Math.round((168 * h) / w) };
  const cam = el("canvas", size), hide = el("canvas", size), camText = el("p", { class: "note" });
  const option = (value, text, selected) => el("option", { value, selected }, text);
  const classes = el("select", { id: "attention-class", onchange: () => draw() });
  const layers = el("select", { id: "attention-layer", onchange: () => draw() },
    net.nodes.flatMap((node, at) => (at && node.shape.length === 3 && node.shape[0] * node.shape[1] > 1 ? [option(at, page.title(at), at === start)] : [])));
  let run = 0, follows = true;
  classes.addEventListener("change", () => (follows = false));
  const overlay = (canvas, map, [rows, columns], scale, smooth) => {
    drawPicture(canvas, forScreen(page.data, page.input), page.input.data_shape);
    const small = new OffscreenCanvas(columns, rows), image = new ImageData(columns, rows);
    for (let i = 0; i < map.length; i++) {
      const share = Number.isNaN(map[i]) ? 0 : Math.min(1, Math.abs(map[i]) / (scale || 1));
      image.data.set([...(map[i] < 0 ? AGAINST : FOR), Number.isNaN(map[i]) ? 0 : Math.round(225 * share)], 4 * i);
    }
    small.getContext("2d").putImageData(image, 0, 0);
    const context = canvas.getContext("2d");
    context.imageSmoothingEnabled = smooth;
    context.drawImage(small, 0, 0, canvas.width, canvas.height);
  };
  async function draw() {
    const top = page.probabilities.indexOf(page.probabilities.reduce((a, b) => Math.max(a, b)));
    const k = follows ? top : Number(classes.value);
    classes.replaceChildren(...page.classes.map((name, at) => option(at, `${name} (${percent(page.probabilities[at])})`, at === k)));
    const at = Number(layers.value), map = gradCam(page.net, page.values, at, k);
    overlay(cam, map, net.nodes[at].shape, largestOf(map), true);
    camText.textContent = say("camText", page.title(at));
    const own = ++run, rows = Math.ceil(h / step), columns = Math.ceil(w / step);
    const drops = new Float32Array(rows * columns).fill(NaN);
    const show = () => overlay(hide, drops, [rows, columns], Math.max(0.05, largestOf(drops.map((v) => (Number.isNaN(v) ? 0 : v)))), false);
    let shown = performance.now();
    await occlusion(page.net, page.values, k, side, step, (y, x, drop) => {
      drops[(y / step) * columns + x / step] = drop;
      if (performance.now() - shown > 200) show(), (shown = performance.now());
    }, () => own === run && page.state.tab === "attention");
    if (own === run) show();
  }
  const element = el("div", {},
    el("p", { class: "choices" }, el("label", {}, say("ofClass"), " ", classes), el("label", {}, say("ofLayer"), " ", layers)),
    el("div", { class: "pair" }, el("figure", {}, el("h5", {}, say("camTitle")), cam, camText),
      el("figure", {}, el("h5", {}, say("occlusionTitle")), hide, el("p", { class: "note" }, say("occlusionText", side)))));
  return { element, draw };
}

