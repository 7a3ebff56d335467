// What the network is given: a drawing, an image file, an example, or a typed text.
import { el, percent } from "./dom.mjs";
import { forScreen, inUnits, resampled, tokens, words } from "./inputs.mjs";
import { drawPicture } from "./paint.mjs";
import { say } from "./texts.mjs";

const COLOURS = ["#ffffff", "#000000", "#808080", "#d62728", "#2ca02c", "#1f77b4", "#ffdd00"];

/** The panel of the input, and that of the examples. page has input, examples, vocabulary, show(data, number) and answers(data). */
export function inputPanel(page) {
  if (page.vocabulary.length) return textPanel(page);
  const shape = page.input.data_shape;
  return shape.length === 3 ? imagePanel(page) : [el("div"), gallery(page, null)];
}

function imagePanel(page) {
  const [h, w, c] = page.input.data_shape, grey = c < 3;
  const canvas = el("canvas", { width: 280, height: Math.round((280 * h) / w), class: "pad", tabindex: 0 });
  let drawn = new Float32Array(h * w * c), chosen = COLOURS[0], radius = Math.max(w / 20, 0.6), last = null;
  const centred = el("input", { type: "checkbox", checked: grey });
  const restore = (bytes) => {
    drawn = Float32Array.from(bytes);
    drawPicture(canvas, forScreenBytes(drawn), [h, w, c]);
  };
  const forScreenBytes = (bytes) => Uint8ClampedArray.from(bytes);
  const give = (number = -1) => {
    drawPicture(canvas, forScreenBytes(drawn), [h, w, c]);
    const bytes = centred.checked && number === -1 && grey ? centre(drawn, h, w, c) : drawn;
    page.show(inUnits(Uint8ClampedArray.from(bytes), page.input), number);
  };
  const dab = (x, y) => {
    const value = COLOURS.includes(chosen) ? [1, 3, 5].map((at) => parseInt(chosen.slice(at, at + 2), 16)) : [255];
    for (let row = Math.max(0, Math.floor(y - radius - 1)); row <= Math.min(h - 1, y + radius + 1); row++)
      for (let column = Math.max(0, Math.floor(x - radius - 1)); column <= Math.min(w - 1, x + radius + 1); column++) {
        const share = Math.max(0, Math.min(1, radius + 0.5 - Math.hypot(column + 0.5 - x, row + 0.5 - y)));
        for (let k = 0; k < Math.min(c, 3); k++) {
          const at = (row * w + column) * c + k, ink = value[grey ? 0 : k];
          drawn[at] = ink === 255 && grey ? Math.max(drawn[at], 255 * share) : drawn[at] + (ink - drawn[at]) * share;
        }
      }
  };
  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    return [((event.clientX - box.left) / box.width) * w, ((event.clientY - box.top) / box.height) * h];
  };
  const stroke = (event) => {
    const to = place(event), from = last ?? to, steps = Math.max(1, Math.ceil(Math.hypot(to[0] - from[0], to[1] - from[1]) * 2));
    for (let n = 1; n <= steps; n++) dab(from[0] + ((to[0] - from[0]) * n) / steps, from[1] + ((to[1] - from[1]) * n) / steps);
    last = to;
    give();
  };
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    // A new drawing begins on black; on a photograph one paints.
    if (grey && page.state.example >= 0) drawn.fill(0);
    last = null;
    stroke(event);
    event.preventDefault();
  });
  canvas.addEventListener("pointermove", (event) => event.buttons && last && stroke(event));
  canvas.addEventListener("pointerup", () => (last = null));
  const clear = () => (drawn.fill(0), give());
  const colours = COLOURS.slice(0, grey ? 2 : undefined).map((ink) =>
    el("button", { class: "ink", style: `background:${ink}`, "aria-label": ink, "aria-pressed": ink === chosen, onclick: (event) => {
      chosen = ink;
      for (const other of event.target.parentNode.children) other.setAttribute("aria-pressed", other === event.target);
    } }),
  );
  const size = el("input", { type: "range", min: 0.5, max: w / 6, step: 0.1, value: radius, "aria-label": say("brush"),
    oninput: (event) => (radius = Number(event.target.value)) });
  const file = el("input", { type: "file", accept: "image/*", hidden: true, onchange: () => take(file.files[0]) });
  const fault = el("p", { class: "fault" });
  async function take(given) {
    if (!given) return;
    fault.textContent = "";
    try {
      drawn = await pixelsOf(given, page.input);
      give(-2);
    } catch {
      fault.textContent = say("dropped", given.name);
    }
  }
  document.ondragover = (event) => event.preventDefault();
  document.ondrop = (event) => (event.preventDefault(), take(event.dataTransfer.files[0]));
  centred.addEventListener("change", () => page.state.example === -1 && give());
  const tools = page.recorded
    ? null
    : el("div", { class: "tools" },
        el("button", { onclick: clear, id: "clear" }, say("clear")), el("span", { class: "inks" }, colours), size,
        grey ? el("label", {}, centred, " ", say("centre")) : null,
        el("label", { class: "button" }, say("file"), file));
  page.restore = (data) => restore(forScreen(data, page.input));
  if (page.recorded) canvas.style.pointerEvents = "none";
  return [el("div", { class: "input" }, el("div", {}, canvas, fault), tools), gallery(page, (data) => restore(forScreen(data, page.input)))];
}

/** Moves a drawing so that its centre of mass is that of the image, as the digits of MNIST lie. */
export function centre(bytes, h, w, c) {
  let mass = 0, x = 0, y = 0;
  for (let i = 0; i < bytes.length; i++) {
    const at = Math.floor(i / c), v = bytes[i];
    (mass += v), (x += v * ((at % w) + 0.5)), (y += v * (Math.floor(at / w) + 0.5));
  }
  if (!mass) return bytes;
  const dx = Math.round(w / 2 - x / mass), dy = Math.round(h / 2 - y / mass), out = new Float32Array(bytes.length);
  for (let row = 0; row < h; row++)
    for (let column = 0; column < w; column++) {
      const from = row - dy, beside = column - dx;
      if (from < 0 || from >= h || beside < 0 || beside >= w) continue;
      for (let k = 0; k < c; k++) out[(row * w + column) * c + k] = bytes[(from * w + beside) * c + k];
    }
  return out;
}

/** An image file as bytes of the data, as Pillow fits it: cut to the proportions of the data, padded, or its middle. */
async function pixelsOf(file, { data_shape: [h, w, c], file_fit: how }) {
  const { width, height, data } = pixelsIn(await createImageBitmap(file)), image = new Uint8ClampedArray(height * width * c);
  for (let from = 0, to = 0; from < data.length; from += 4, to += c) {
    if (c < 3) image[to] = 0.299 * data[from] + 0.587 * data[from + 1] + 0.114 * data[from + 2]; // rounds
    else for (let k = 0; k < 3; k++) image[to + k] = data[from + k];
    if (c % 2 === 0) image[to + c - 1] = data[from + 3];
  }
  const shape = [height, width, c], by = Math.min(width / w, height / h);
  const box = [(height - h * by) / 2, (width - w * by) / 2, h * by, w * by];
  if (how === "resize") return resampled(image, shape, [h, w], box).map(Math.round);
  const inner = width / height > w / h ? [Math.round((height / width) * w), w] : [h, Math.round((width / height) * h)];
  const kept = how === "pad" ? resampled(image, shape, inner, [0, 0, height, width]).map(Math.round) : image;
  const [tall, wide] = how === "pad" ? inner : [height, width], out = new Float32Array(h * w * c);
  const place = how === "pad" ? Math.round : (v) => -Math.floor(-v);
  const [top, left] = [place((h - tall) / 2), place((w - wide) / 2)];
  for (let y = Math.max(0, top); y < Math.min(h, top + tall); y++)
    for (let x = Math.max(0, left); x < Math.min(w, left + wide); x++)
      for (let k = 0; k < c; k++) out[(y * w + x) * c + k] = kept[((y - top) * wide + (x - left)) * c + k];
  return out;
}

function pixelsIn(picture) {
  const { width, height } = picture, context = new OffscreenCanvas(width, height).getContext("2d");
  context.drawImage(picture, 0, 0);
  return context.getImageData(0, 0, width, height);
}

/** A signal (positions, channels) as a line: its first channel. */
function line(data, channels) {
  const values = data.filter((_, i) => i % channels === 0), low = Math.min(...values), high = Math.max(...values), made = el("span", { class: "line" });
  const points = Array.from(values, (v, i) => `${((128 * i) / Math.max(values.length - 1, 1) + 1).toFixed(1)} ${(24 - (22 * (v - low)) / (high - low || 1)).toFixed(1)}`);
  made.innerHTML = `<svg width="130" height="26" viewBox="0 0 130 26" aria-hidden="true"><path d="M${points.join("L")}"/></svg>`;
  return made;
}

/** The examples as buttons: pictures with their classes, wrong ones marked. */
function gallery(page, restore) {
  const items = page.examples.map(({ data, label }, number) => {
    const answer = page.answers(number), isRight = label === null || answer === label;
    const face = restore ? el("canvas", { width: 56, height: 56 }) : page.textOf ? el("span", {}, page.textOf(data)) : line(data, page.input.data_shape[1]);
    if (restore) drawPicture(face, forScreen(data, page.input), page.input.data_shape);
    const name = label === null ? "" : page.classes[label];
    const note = isRight ? say("right") : say("wrong", page.classes[answer]);
    return el("button", { class: isRight ? "example" : "example bad", title: `${name}: ${note}`, "data-example": number,
      "aria-pressed": page.state.example === number, onclick: () => (restore?.(data), page.show(data, number)) },
      face, el("small", {}, name), isRight ? null : el("small", {}, `→ ${page.classes[answer]}`));
  });
  return el("div", {}, el("h3", {}, say("examples")), el("div", { class: restore ? "gallery" : "gallery texts" }, items));
}

function textPanel(page) {
  const length = page.input.data_shape[0], unknown = el("p", { class: "note" });
  const box = el("textarea", { rows: 4, id: "text", "aria-label": say("typeHere"), placeholder: say("typeHere") });
  const note = () => {
    const missing = words(box.value).filter((word) => !page.vocabulary.includes(word));
    unknown.textContent = missing.length ? say("unknownWords", missing.slice(0, 12).join(" ")) : "";
  };
  box.addEventListener("input", () => (note(), page.show(tokens(box.value, page.vocabulary, length), -1)));
  page.textOf = (data) => Array.from(data).filter((v) => v).map((v) => page.vocabulary[v]).join(" ");
  page.restore = (data) => ((box.value = page.textOf(data)), note());
  const list = gallery(page, null);
  list.addEventListener("click", () => page.restore(page.data));
  return [el("div", { class: "input" }, page.recorded ? null : box, unknown), list];
}

/** The classes with their probabilities as bars, the most probable ten. */
export function bars(page) {
  const best = Array.from(page.probabilities, (p, k) => [p, k]);
  if (best.length > 10) best.sort((a, b) => b[0] - a[0]).splice(10);
  const top = page.probabilities.indexOf(page.probabilities.reduce((a, b) => Math.max(a, b)));
  const { label } = page.examples[page.state.example] ?? { label: null };
  return el("div", { class: "bars", role: "list" },
    best.map(([p, k]) =>
      el("button", { role: "listitem", class: k === top ? "bar top" : "bar", "data-class": k, onclick: () => page.explainClass(k) },
        el("span", { class: "name", title: page.classes[k] }, page.classes[k], k === label ? " ✓" : ""),
        el("span", { class: "rail" }, el("i", { style: `width:${(100 * p).toFixed(2)}%` })),
        el("span", { class: "number" }, percent(p)))));
}
