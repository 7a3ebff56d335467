// The network from top to bottom: a row for each layer with all its maps, its lanes beside it.
import { el, short, sizes } from "./dom.mjs";
import { gutter, lanes } from "./lanes.mjs";
import { colour, drawFilters, drawMaps, largestOf, layout, rectangle, unitAt } from "./paint.mjs";
import { asMap } from "./shapes.mjs";
import { say } from "./texts.mjs";

/** What the YAML says of a layer, in a few characters. */
export function summary(node) {
  const { args, windows } = node, found = [];
  if (windows.length) {
    found.push(windows.map(([size]) => size).join("×"));
    if (windows.some(([, stride]) => stride > 1)) found.push(`stride ${[...new Set(windows.map(([, stride]) => stride))].join("×")}`);
    if (windows.some(([, , dilation]) => dilation > 1)) found.push(`dilation ${[...new Set(windows.map((one) => one[2]))].join("×")}`);
    if (windows.some(([, , , low, high]) => low || high))
      found.push(`padding ${[...new Set(windows.flatMap(([, , , low, high]) => [low, high]))].join("/")}`);
    if ((args.padding_mode ?? "zeros") !== "zeros") found.push(args.padding_mode);
    if (args.groups > 1) found.push(`groups ${args.groups}`);
  }
  if (node.inputs.length > 1) found.push(say(node.kind, node.inputs.length));
  return found.join(", ");
}

/** All rows. page has net, values, state and point(node, unit, hold). */
export function networkRows(page) {
  const found = lanes(page.net.nodes), root = el("div", { class: "rows" });
  const wide = 1 + Math.max(...found.flatMap((row) => [row.lane, ...row.incoming, ...row.outgoing, ...row.passing]));
  const rows = page.net.nodes.map((node, at) => row(page, node, at, found[at], wide));
  root.append(...rows.map((one) => one.element));
  const visible = new Set();
  const watch = new IntersectionObserver(
    (entries) =>
      entries.forEach(({ target, isIntersecting }) => {
        const at = Number(target.dataset.node);
        if (isIntersecting) visible.add(at), rows[at].draw();
        else visible.delete(at);
      }),
    { rootMargin: "200px" },
  );
  rows.forEach((one) => watch.observe(one.element));
  return {
    element: root,
    draw: () => rows.forEach((one, at) => (visible.has(at) ? one.draw() : one.forget())),
    mark: (boxes, unit) => rows.forEach((one, at) => one.mark(boxes?.[at] ?? null, at === page.state.node ? unit : null)),
    reveal: (at) => rows[at].element.scrollIntoView({ block: "center" }),
    focus: (at) => rows[at].focus(),
  };
}

function row(page, node, at, lane, wide) {
  const maps = el("canvas", { class: "maps", tabindex: 0, role: "img", "data-maps": at });
  const over = el("canvas", { class: "over", "aria-hidden": "true" });
  const range = el("span", { class: "range" }), isInput = at === 0;
  const words = isInput && page.vocabulary.length ? el("p", { class: "words" }) : null;
  const filters = page.filters?.node === at ? el("canvas", { class: "filters", role: "img", "aria-label": say("filters") }) : null;
  const strip = filters && el("div", { class: "strip" }, el("p", {}, say("filters")), filters, el("p", {}, say("maps"))), scale = filters && largestOf(page.filters.values());
  const title = page.title(at);
  maps.setAttribute("aria-label", `${title} ${sizes(node.shape)}`);
  const element = el("section", { class: "row", "data-node": at, "data-kind": node.kind },
    gutter(lane, wide),
    el("div", { class: "layer" },
      el("h4", {}, el("b", { title: node.place }, title), " ", el("span", {}, summary(node)), " ", el("span", { class: "shape" }, sizes(node.shape)), range),
      strip, words, el("div", { class: "stage", hidden: Boolean(words) }, maps, over)));
  let placed = null, shown = false;
  const shapeOf = () => page.shapes[at];
  const draw = () => {
    if (words) words.replaceChildren(...Array.from(page.values[0], (v) => el("span", { class: v ? "" : "padding" }, v ? page.vocabulary[v] : "·")));
    const width = Math.max(element.clientWidth - (13 * wide + 8) - 12, 120);
    placed = layout(shapeOf(), width, isInput && node.shape.length === 3 ? 140 : 0);
    const values = page.values[at], top = largestOf(values);
    drawMaps(maps, values, placed, top / page.state.gain);
    over.width = maps.width;
    over.height = maps.height;
    let low = Infinity, high = -Infinity;
    for (const v of values) (low = Math.min(low, v)), (high = Math.max(high, v));
    range.replaceChildren(el("i", { style: `background:linear-gradient(90deg,${colour(-1, 1)},${colour(0, 1)},${colour(1, 1)})` }),
      `${short(low)} … ${short(high)}`);
    if (words) range.replaceChildren();
    shown = true;
    paintMark();
  };
  let marked = [null, null];
  const paintMark = () => {
    if (!shown) return;
    if (filters) drawFilters(filters, page.filters.values(), page.filters.shape, strip.clientWidth, placed, scale, marked[1]?.[2] ?? -1);
    const context = over.getContext("2d"), [box, unit] = marked;
    context.clearRect(0, 0, over.width, over.height);
    if (words) {
      // The words that the unit sees; the others are pale.
      const inside = (i) => !box || (i >= box[1][0] && i <= box[1][1]);
      [...words.children].forEach((word, i) => word.classList.toggle("unseen", !inside(i)));
    }
    const frame = (rect, ink) => {
      context.strokeStyle = "#fff", context.lineWidth = 3;
      context.strokeRect(rect[0], rect[1], rect[2], rect[3]);
      context.strokeStyle = ink, context.lineWidth = 1.5;
      context.strokeRect(rect[0], rect[1], rect[2], rect[3]);
    };
    if (unit) frame(rectangle(placed, [[unit[0], unit[0]], [unit[1], unit[1]]], unit[2]), "#d6006c");
    else if (box && !placed.flat) {
      const scaled = shrunk(box, node.shape, shapeOf());
      if (placed.signal && !isInput) {
        // The channels of a signal lie close: one frame around all of them.
        const [x, y, w] = rectangle(placed, scaled, 0);
        if (!page.wholeMap(box, node.shape)) frame([x, y, w, placed.height], "#d6006c");
      } else for (let k = 0; k < placed.c; k++) {
        const [x, y, w, h] = rectangle(placed, scaled, k);
        if (isInput) {
          const [left, top, width, height] = rectangle(placed, [[0, placed.h - 1], [0, placed.w - 1]], k);
          context.fillStyle = "rgb(0 0 0 / 72%)";
          context.beginPath();
          context.rect(left, top, width, height);
          context.rect(x, y, w, h);
          context.fill("evenodd");
        }
        if (!page.wholeMap(box, node.shape)) frame([x, y, w, h], "#d6006c");
      }
    }
  };
  const unitOf = (event) => {
    const bounds = maps.getBoundingClientRect();
    return placed && unitAt(placed, event.clientX - bounds.left, event.clientY - bounds.top);
  };
  maps.addEventListener("pointermove", (event) => {
    if (event.pointerType === "mouse" && !page.state.held) page.point(at, unitOf(event), false);
  });
  maps.addEventListener("pointerleave", () => !page.state.held && page.point(at, null, false));
  maps.addEventListener("click", (event) => page.point(at, unitOf(event), true));
  maps.addEventListener("keydown", (event) => {
    const moves = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
    const move = moves[event.key], [h, w, c] = asMap(shapeOf());
    const now = page.state.node === at && page.state.unit ? page.state.unit : null;
    if (event.key === "Enter") page.point(at, now ?? [0, 0, 0], true);
    else if (event.key === "PageDown" || event.key === "PageUp")
      page.point(at, [now?.[0] ?? 0, now?.[1] ?? 0, ((now?.[2] ?? 0) + (event.key === "PageDown" ? 1 : c - 1)) % c], page.state.held);
    else if (move && !now) page.point(at, [0, 0, 0], false);
    else if (move && shapeOf().length === 1) page.point(at, [0, 0, (now[2] + move[0] * placed.columns + move[1] + c) % c], page.state.held);
    else if (move) page.point(at, [(now[0] + move[0] + h) % h, (now[1] + move[1] + w) % w, now[2]], page.state.held);
    else return;
    event.preventDefault();
  });
  return {
    element,
    draw,
    forget: () => {
      shown = false;
      if (!maps.style.minHeight) maps.style.minHeight = "1px";
    },
    mark: (box, unit) => ((marked = [box, unit]), paintMark()),
    focus: () => maps.focus(),
  };
}

/** A box of positions on a map that is shown reduced. */
function shrunk(box, shape, shown) {
  const [h, w] = asMap(shape), [height, width] = asMap(shown);
  const of = ([first, last], before, after) => [Math.floor((first * after) / before), Math.min(after - 1, Math.floor((last * after) / before))];
  return h === height && w === width ? box : [of(box[0], h, height), of(box[1], w, width)];
}
