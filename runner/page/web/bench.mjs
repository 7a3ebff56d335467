// A bench for one window: its settings, the padded input under it, the positions that it takes.
import { pixel, positions } from "./convolution.mjs";
import { el } from "./dom.mjs";
import { faultOf, PADDINGS, windowOf } from "./geometry.mjs";
import { colour, ink } from "./paint.mjs";
import { say } from "./texts.mjs";

const MODES = ["zeros", "reflect", "replicate", "circular"];

/** The panel. */
export function benchPanel(page) {
  const setting = { length: 7, size: 3, stride: 2, padding: 1, dilation: 1, mode: "zeros" };
  const canvas = el("canvas", { class: "bench" }), told = el("p", { class: "fault", id: "bench-fault", role: "alert" }), text = el("p", { id: "bench-text" });
  const fields = {};
  let at = 0, timer = null;
  const number = (name, label) => {
    fields[name] = el("input", { type: "number", id: `bench-${name}`, value: setting[name], oninput: (event) => {
      setting[name] = event.target.value === "" ? NaN : Math.trunc(Number(event.target.value));
      at = 0;
      draw();
    } });
    return el("label", {}, label, fields[name]);
  };
  fields.padding = el("input", { type: "text", id: "bench-padding", list: "paddings", value: setting.padding, oninput: (event) => {
    const value = event.target.value.trim();
    setting.padding = /^-?\d+$/.test(value) ? Number(value) : value;
    at = 0;
    draw();
  } });
  const mode = el("select", { id: "bench-mode", onchange: (event) => ((setting.mode = event.target.value), draw()) }, MODES.map((name) => el("option", {}, name)));
  const play = el("button", { id: "bench-play", onclick: () => (timer ? stop() : start()) }, say("slide"));
  function stop() {
    clearInterval(timer);
    timer = null;
    play.textContent = say("slide");
  }
  function start() {
    play.textContent = say("stop");
    timer = setInterval(() => (canvas.isConnected && page.state.tab === "bench" ? (at++, draw()) : stop()), 450);
  }
  function fault() {
    const { length } = setting;
    if (!(length >= 1 && length <= 32)) return { name: "length", text: `height: must be between 1 and 32 here, got ${length}` };
    const wrong = Object.entries(setting).find(([name, value]) => Number.isNaN(value) || (name === "padding" && typeof value === "string" && !PADDINGS.includes(value)));
    if (wrong && wrong[0] === "padding") return faultOf({ ...setting, padding: -1 }, length) && { name: "padding", text: `padding: must be ${PADDINGS.join(", ")}, pixels, [h, w] or [[top, bottom], [left, right]], got ${setting.padding}` };
    if (wrong) return { name: wrong[0], text: `${wrong[0]}: must be a whole number` };
    return faultOf(setting, length);
  }
  function draw() {
    const found = fault();
    for (const [name, field] of Object.entries(fields)) field.classList.toggle("impossible", found?.name === name);
    told.textContent = found ? `model.layers[0].conv.${found.text}` : "";
    canvas.hidden = Boolean(found);
    text.textContent = "";
    if (!found) paint();
  }
  function paint() {
    const { length, mode: how } = setting, window = windowOf(setting, length), [size, stride, dilation, low, high] = window;
    const count = positions(length, window), whole = low + length + high;
    at %= count * count;
    const oy = Math.floor(at / count), ox = at % count, cell = Math.max(5, Math.min(30, Math.floor(350 / whole))), small = Math.max(4, Math.min(22, Math.floor(120 / count)));
    canvas.width = Math.max(whole * cell, count * small) + 2;
    canvas.height = whole * cell + count * small + 16;
    const context = canvas.getContext("2d");
    context.font = `${Math.round(cell * 0.42)}px sans-serif`;
    context.textAlign = "center";
    context.textBaseline = "middle";
    for (let y = 0; y < whole; y++)
      for (let x = 0; x < whole; x++) {
        const [row, column] = [y, x].map((v) => pixel(v - low, length, how)), zero = row < 0 || column < 0;
        const v = zero ? 0 : ((row * 7 + column * 3) % 10) / 9, inside = y >= low && y < low + length && x >= low && x < low + length;
        context.globalAlpha = inside ? 1 : 0.55;
        context.fillStyle = zero ? "#fff" : colour(v, 1.1);
        context.fillRect(1 + x * cell, 1 + y * cell, cell - 1, cell - 1);
        if (cell >= 16) (context.fillStyle = ink(v, 1.1)), context.fillText(zero ? "0" : String((row * 7 + column * 3) % 10), 1 + (x + 0.5) * cell, 1 + (y + 0.5) * cell);
      }
    context.globalAlpha = 1;
    context.strokeStyle = "#444";
    context.strokeRect(1 + low * cell - 0.5, 1 + low * cell - 0.5, length * cell, length * cell);
    context.strokeStyle = "#d6006c";
    context.lineWidth = 2;
    for (let ky = 0; ky < size; ky++)
      for (let kx = 0; kx < size; kx++) context.strokeRect(1 + (ox * stride + kx * dilation) * cell, 1 + (oy * stride + ky * dilation) * cell, cell - 1, cell - 1);
    const top = whole * cell + 12;
    for (let i = 0; i < count * count; i++) {
      context.fillStyle = i === at ? "#d6006c" : i < at ? "#8ab6d6" : "#dde6ee";
      context.fillRect(1 + (i % count) * small, top + Math.floor(i / count) * small, small - 1, small - 1);
    }
    text.textContent = `${count}×${count}: ${say("positionsText", count, length, low, high, dilation * (size - 1) + 1, stride)}`;
  }
  canvas.addEventListener("pointermove", (event) => {
    const { length } = setting, window = windowOf(setting, length), count = positions(length, window), [, stride, , low, high] = window;
    const box = canvas.getBoundingClientRect(), cell = Math.max(5, Math.min(30, Math.floor(350 / (low + length + high))));
    const place = (v) => Math.max(0, Math.min(count - 1, Math.floor(v / (cell * stride))));
    at = place(event.clientY - box.top) * count + place(event.clientX - box.left);
    draw();
  });
  const element = el("div", {}, el("p", { class: "note" }, say("benchText", "n")),
    el("div", { class: "form" }, number("length", "height = width"), number("size", "kernel_size"), number("stride", "stride"),
      el("label", {}, "padding", fields.padding), number("dilation", "dilation"), el("label", {}, "padding_mode", mode)),
    el("datalist", { id: "paddings" }, PADDINGS.map((name) => el("option", {}, name))), told, text, play, canvas);
  return { element, draw };
}
