// The page: what is shown, kept in its address, and the panels around the network.
import { attentionPanel, seesPlaces } from "./attention.mjs";
import { benchPanel } from "./bench.mjs";
import { arrayOf, bytesOf, inflated } from "./decoding.mjs";
import { el, sizes } from "./dom.mjs";
import { applied, forward, outputs, prepared, probabilities } from "./engine.mjs";
import { seenBy } from "./fields.mjs";
import { seen } from "./inputs.mjs";
import { learningPanel } from "./learning.mjs";
import { bars, inputPanel } from "./pad.mjs";
import { networkRows } from "./rows.mjs";
import { asMap } from "./shapes.mjs";
import { languageName, say, setLanguage } from "./texts.mjs";
import { courseOf, timeControl } from "./time.mjs";
import { arithmetic, where } from "./unit.mjs";

const read = (id) => document.getElementById(id).textContent;

async function main() {
  const model = JSON.parse(read("model")), { input } = model;
  const trained = prepared(model, new Float32Array(bytesOf(read("values")).buffer));
  const page = {
    net: trained,
    input,
    classes: model.classes,
    vocabulary: model.vocabulary,
    recorded: model.recorded ?? null,
    examples: model.examples.map(({ data, label }) => ({ data: arrayOf(bytesOf(data), input.dtype), label })),
    shapes: model.nodes.map(({ shape }) => shape),
    state: { example: 0, node: -1, unit: null, held: false, tab: "unit", gain: 1, epoch: -1 },
    steps: 0,
  };
  const records = await Promise.all((model.records ?? []).map(async ({ maps, probabilities: p }) => ({
    probabilities: Float32Array.from(p),
    maps: await Promise.all(maps.map(async ({ low, high, data }) => Float32Array.from(await inflated(data), (v) => low + (v / 255) * (high - low)))),
  })));
  if (records.length) page.shapes = [input.shape, ...model.records[0].maps.map(({ shape }) => shape)];

  const course = courseOf(model, trained), keptAt = course.findIndex(({ isKept }) => isKept);
  page.course = course;
  /** The number of the moment that is shown. */
  page.now = () => (page.state.epoch < 0 ? keptAt : page.state.epoch);
  /** The first convolution that sees the image itself, and its filters at the moment that is shown; null if there is none. */
  page.filters = model.filters ? { ...model.filters, values: () => course[page.now()].filters() ?? page.net.tensors[model.filters.node].kernel } : null;
  page.playing = 0;
  const argmax = (values) => values.indexOf(values.reduce((a, b) => Math.max(a, b), -Infinity));
  const known = new Map();
  /** The class that the network as trained gives an example. */
  page.answers = (number) => {
    if (!known.has(number)) {
      const values = page.recorded ? null : forward(trained, seen(page.examples[number].data, input));
      known.set(number, argmax(page.recorded ? records[number].probabilities : probabilities(trained, outputs(trained, values))));
    }
    return known.get(number);
  };
  /** A layer's place in the YAML; of a long one the end, which says most. */
  page.title = (at) => {
    const { place, kind } = page.net.nodes[at];
    if (!at) return say("input");
    if (place.length <= 44) return place || kind;
    const parts = place.split(".");
    let short = parts.pop();
    while (parts.length && short.length + parts[parts.length - 1].length < 40) short = `${parts.pop()}.${short}`;
    return `… ${short}`;
  };
  page.wholeMap = ([[top, bottom], [left, right]], shape) => {
    const [h, w] = asMap(shape);
    return top === 0 && left === 0 && bottom === h - 1 && right === w - 1;
  };
  /** The name of one value of a flat vector: the place in the map that was flattened. */
  page.nameOf = (at, i) => {
    const node = page.net.nodes[at];
    if (["flatten", "relu", "dropout", "stochastic_depth", "tanh"].includes(node.kind) && node.shape.length === 1 && node.inputs.length) return page.nameOf(node.inputs[0], i);
    const [, w, c] = asMap(node.shape);
    return node.shape.length === 1 ? `[${i}]` : `(${Math.floor(i / c / w)}, ${Math.floor(i / c) % w}, ${i % c})`;
  };
  /** What an activation makes of some values; null for other layers. */
  page.sampled = (node, xs) => {
    const pointwise = !node.windows.length && !Object.keys(node.tensors).length && !["softmax", "layer_norm", "group_norm", "instance_norm", "local_response_norm", "upsample", "pad_channels", "flatten", "dropout", "spatial_dropout", "stochastic_depth", "auxiliary", "adaptive_avg_pool", "adaptive_max_pool"].includes(node.kind);
    return pointwise ? applied(page.net, page.net.nodes.indexOf(node), [xs]) : null;
  };

  let rows, panels, milliseconds = 0;
  const compute = () => {
    const began = performance.now();
    if (page.recorded) {
      const record = records[page.state.example];
      page.values = [seen(page.data, input), ...record.maps];
      page.probabilities = record.probabilities;
      page.y = record.probabilities;
    } else {
      page.values = forward(page.net, seen(page.data, input));
      page.y = outputs(page.net, page.values);
      page.probabilities = probabilities(page.net, page.y);
    }
    // The fastest of the runs so far: the first ones are those of code that the browser has not optimised yet.
    page.milliseconds = performance.now() - began;
    milliseconds = Math.min(milliseconds || Infinity, page.milliseconds);
  };
  let waiting = false;
  const redraw = () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      rows.draw();
      drawAnswer();
      drawPanel();
      mark();
    });
  };
  page.show = (data, number = -1) => {
    page.data = data;
    page.state.example = number;
    compute();
    for (const button of document.querySelectorAll(".example")) button.setAttribute("aria-pressed", Number(button.dataset.example) === number);
    redraw();
    remember();
  };
  /** Shows a moment of the training. */
  page.after = (number) => {
    page.state.epoch = number === keptAt ? -1 : number;
    page.net = course[number].net();
    page.steps = 0;
    compute();
    redraw();
    remember();
  };
  page.learn = (net) => {
    page.net = net ?? course[page.now()].net();
    page.steps = net ? page.steps + 1 : 0;
    compute();
    redraw();
  };
  const mark = () => {
    const { node, unit } = page.state;
    rows.mark(node >= 0 && unit ? seenBy(page.net.nodes, node, ...full(node, unit)) : null, unit);
  };
  /** A position of a map that is shown reduced, on the map itself. */
  const full = (node, [y, x]) => {
    const [h, w] = asMap(page.net.nodes[node].shape), [height, width] = asMap(page.shapes[node]);
    return [Math.floor((y * h) / height), Math.floor((x * w) / width)];
  };
  page.point = (node, unit, hold) => {
    const { state } = page, again = hold && state.held && state.node === node && String(unit) === String(state.unit);
    if (hold && !unit) return;
    Object.assign(state, { node: unit ? node : -1, unit, held: hold && !again });
    if (unit && hold) state.tab = "unit";
    mark();
    if (hold) drawTabs(), remember();
    if (state.tab === "unit") drawPanel();
  };
  page.explainClass = (k) => (page.recorded ? null : page.point(page.net.output, [0, 0, k], true));
  page.go = (at) => (rows.reveal(at), rows.focus(at));

  const kinds = { ...(!page.recorded && seesPlaces(trained) && { attention: attentionPanel }), ...(!page.recorded && { learning: learningPanel }), bench: benchPanel };
  const answer = el("div"), panel = el("div", { class: "panel", id: "panel" }), tabs = el("nav", { class: "tabs", role: "tablist" }), side = el("aside", { class: "side" }, tabs, panel);
  function drawAnswer() {
    const { label } = page.examples[page.state.example] ?? { label: null };
    answer.replaceChildren(el("h3", {}, say("answer"), label === null ? "" : el("small", {}, ` ${say("truth", page.classes[label])}`)), bars(page),
      page.recorded ? "" : el("p", { class: "note" }, say("cost", milliseconds.toFixed(1))));
  }
  function drawTabs() {
    tabs.replaceChildren(...["unit", ...Object.keys(kinds)].map((name) => el("button", { role: "tab", "data-tab": name, "aria-selected": page.state.tab === name, onclick: () => {
      page.state.tab = name;
      drawTabs();
      drawPanel();
      remember();
    } }, say(name))));
  }
  let timer = null;
  function slide() {
    const { node, unit } = page.state, [h, w] = asMap(page.shapes[node]);
    clearInterval(timer);
    timer = timer ? null : setInterval(() => {
      const [y, x, k] = page.state.unit ?? unit, next = (y * w + x + 1) % (h * w);
      if (!page.state.held) return clearInterval(timer), (timer = null);
      Object.assign(page.state, { unit: [Math.floor(next / w), next % w, k] });
      mark();
      drawPanel();
    }, 160);
    drawPanel();
  }
  function unitPanel() {
    const { node: at, unit, held } = page.state;
    if (at < 0 || !unit) return [el("p", { class: "hint" }, say("hint"))];
    const node = page.net.nodes[at], box = seenBy(page.net.nodes, at, ...full(at, unit))[0], whole = !box || page.wholeMap(box, input.shape);
    const size = box ? sizes(box.map(([first, last]) => last - first + 1)) : "";
    const place = !box || whole ? say("whole") : say("rows", box[0][0], box[0][1], box[1][0], box[1][1]);
    let sight = box ? say("sees", size, place) : "";
    if (box && input.shape.length === 2) {
      const [first, last] = box[1], words = page.vocabulary.length ? Array.from(page.values[0].subarray(first, last + 1), (v) => page.vocabulary[v]) : null;
      sight = words ? say("seesWords", words.filter((word) => word !== page.vocabulary[0]).join(" ") || page.vocabulary[0]) : say("seesPositions", first, last);
    }
    const canSlide = held && (node.windows.length || node.kind === "conv_transpose") && !page.recorded;
    return [el("h3", {}, page.title(at), " ", el("small", {}, where(node, unit), held ? ` · ${say("held")}` : "")),
      canSlide ? el("p", {}, el("button", { id: "slide", onclick: slide }, say(timer ? "stop" : "slide"))) : "",
      ...arithmetic(page, at, unit), at && box ? el("p", { class: "note" }, sight) : ""];
  }
  function drawPanel() {
    const { tab } = page.state;
    if (tab === "unit") return panel.replaceChildren(...unitPanel().filter(Boolean));
    if (panel.firstChild !== panels[tab].element) panel.replaceChildren(panels[tab].element);
    panels[tab].draw();
  }

  /** The state in the address, so that a link leads to what is shown. */
  function remember() {
    const { example, node, unit, held, tab, gain, epoch } = page.state, parts = new URLSearchParams({ lang: languageName() });
    if (example >= 0) parts.set("example", example);
    if (held && unit) parts.set("unit", [node, ...unit].join(","));
    if (tab !== "unit") parts.set("tab", tab);
    if (epoch >= 0) parts.set("epoch", course[epoch].epoch);
    if (gain !== 1) parts.set("scale", gain.toFixed(2));
    try {
      history.replaceState(null, "", `#${parts}`);
    } catch {
      // A page inside a frame without an address of its own has none to keep it in.
    }
  }
  function recall() {
    const parts = new URLSearchParams(location.hash.slice(1)), { state } = page;
    setLanguage(parts.get("lang") ?? (navigator.language.startsWith("zh") ? "zh" : "en"));
    const number = Number(parts.get("example"));
    state.example = page.examples[number] ? number : 0;
    const [node, ...unit] = (parts.get("unit") ?? "").split(",").map(Number), shape = page.shapes[node] && asMap(page.shapes[node]);
    const fits = parts.has("unit") && unit.length === 3 && shape && unit.every((v, axis) => Number.isInteger(v) && v >= 0 && v < shape[axis]);
    Object.assign(state, fits ? { node, unit, held: true } : { node: -1, unit: null, held: false });
    state.tab = Object.keys(kinds).find((name) => name === parts.get("tab")) ?? "unit";
    state.epoch = parts.has("epoch") ? course.findIndex(({ epoch, isKept }) => !isKept && String(epoch) === parts.get("epoch")) : -1;
    page.net = course[page.now()].net();
    state.gain = Math.min(Math.max(Number(parts.get("scale") ?? 1), 0.25), 16) || 1;
  }

  function build() {
    rows = networkRows(page);
    panels = Object.fromEntries(Object.entries(kinds).map(([name, make]) => [name, make(page)]));
    const gain = el("input", { type: "range", id: "gain", min: -2, max: 4, step: 0.1, value: Math.log2(page.state.gain), oninput: (event) => {
      page.state.gain = 2 ** Number(event.target.value);
      redraw();
      remember();
    } });
    const intro = page.recorded ? `${say("recorded", say(page.recorded.because, page.recorded.value))}${course.length > 1 ? ` ${say("onlyFilters")}` : ""}` : say(page.vocabulary.length ? "introText" : input.data_shape.length === 3 ? "intro" : "introSignal");
    document.title = `${model.name} – ${say("network")}`;
    const accuracy = model.metrics["test/accuracy"] ?? model.metrics["val/accuracy"];
    const [given, examples] = inputPanel(page);
    document.querySelectorAll("header, main").forEach((old) => old.remove());
    document.body.append(
      el("header", {}, el("h1", {}, model.name, accuracy === undefined ? "" : el("small", {}, ` ${(100 * accuracy).toFixed(2)} %`)), el("p", { class: page.recorded ? "wide" : "" }, intro, model.precision === "bfloat16" ? ` ${say("bfloat16")}` : "", model.crops ? ` ${say(page.recorded ? "cropsRecorded" : "crops", model.crops)}` : ""),
        timeControl(page),
        el("label", { class: "gain" }, say("scale"), gain),
        el("button", { id: "language", onclick: () => {
          setLanguage(languageName() === "en" ? "zh" : "en");
          remember();
          build();
        } }, say("language"))),
      el("main", {}, el("aside", { class: "given" }, given, answer, examples), el("div", { class: "net" }, rows.element), side));
    drawTabs();
    if (page.restore && page.data) page.restore(page.data);
    redraw();
  }
  document.addEventListener("keydown", (event) => event.key === "Escape" && page.point(-1, null, false));
  addEventListener("resize", redraw);
  addEventListener("hashchange", () => (recall(), page.examples.length && page.show(page.examples[page.state.example].data, page.state.example), build()));
  recall();
  page.data = page.examples[page.state.example]?.data ?? new Float32Array(input.data_shape.reduce((a, b) => a * b, 1));
  if (!page.examples.length) page.state.example = -1;
  compute();
  build();
  if (!page.recorded) for (let n = 0; n < 8 && milliseconds < 60; n++) compute();
  globalThis.page = page; // for the curious, and for tests
}

main();
