// The training as moments: the network after some epochs, a slider over them, and a button that plays them.
import { bytesOf, halves } from "./decoding.mjs";
import { el } from "./dom.mjs";
import { prepared } from "./engine.mjs";
import { say } from "./texts.mjs";

const MILLISECONDS = 900; // for each moment while they are played

/**
 * The moments in the order of their epochs; one of them is the network as it was kept.
 *
 * A moment is {epoch, accuracy, isKept, net(), filters()}: `filters` are those of the first convolution, null where the
 * network of the moment has them itself. `epoch` is null where nobody knows it.
 */
export function courseOf(model, trained) {
  const once = (make, value = null) => () => (value ??= make());
  const moments = (model.snapshots ?? []).map(({ epoch, accuracy, only, data }) => {
    const values = () => halves(bytesOf(data));
    const [net, filters] = only ? [() => trained, once(values)] : [once(() => prepared(model, values())), () => null];
    return { epoch, accuracy, isKept: false, net, filters };
  });
  const own = model.filters?.data ? once(() => new Float32Array(bytesOf(model.filters.data).buffer)) : () => null;
  const { epoch = null, accuracy = null } = model.kept ?? {};
  const later = moments.findIndex((one) => epoch !== null && one.epoch > epoch);
  moments.splice(later < 0 ? moments.length : later, 0, { epoch, accuracy, isKept: true, net: () => trained, filters: own });
  return moments;
}

/** A moment in words. */
function told({ epoch, accuracy, isKept }) {
  const right = accuracy === null ? "" : say("accuracy", (100 * accuracy).toFixed(1));
  if (epoch === null) return say("kept");
  if (epoch === 0) return say("untrained");
  return [say("epoch", epoch), right, isKept ? say("kept") : ""].filter(Boolean).join(say("comma"));
}

/** The slider with its button; null if there is one moment only. page has course, now() and after(number). */
export function timeControl(page) {
  const { course } = page, last = course.length - 1;
  if (last < 1) return null;
  const text = el("output", { for: "epoch" }), curve = el("span", { class: "course" });
  const slider = el("input", { type: "range", id: "epoch", min: 0, max: last, "aria-label": say("time"), oninput: () => {
    const to = Number(slider.value); // before `pause` tells where the page still is
    pause();
    go(to);
  } });
  const button = el("button", { id: "play", onclick: () => (page.playing ? pause() : play()) });
  const tell = () => {
    const now = page.now();
    slider.value = now;
    text.textContent = told(course[now]);
    slider.setAttribute("aria-valuetext", text.textContent);
    button.textContent = page.playing ? "❚❚" : "▶";
    button.setAttribute("aria-label", say(page.playing ? "stop" : "play"));
    button.title = say(page.playing ? "stop" : "play");
    curve.innerHTML = accuracies(course, now);
  };
  const go = (number) => (page.after(number), tell());
  const pause = () => {
    clearInterval(page.playing);
    page.playing = 0;
    tell();
  };
  const play = () => {
    page.playing = setInterval(() => (page.now() < last ? go(page.now() + 1) : pause()), MILLISECONDS);
    go(page.now() < last ? page.now() : 0);
  };
  page.pause = pause;
  tell();
  return el("div", { class: "time" }, el("span", {}, say("time")), button, el("span", { class: "slide" }, curve, slider), text);
}

/** The accuracies as a line above the slider, the present one as a dot. */
function accuracies(course, now) {
  const last = course.length - 1, known = course.flatMap(({ accuracy }, at) => (accuracy === null ? [] : [[at, accuracy]]));
  if (known.length < 2) return "";
  const low = Math.min(...known.map(([, v]) => v)), high = Math.max(...known.map(([, v]) => v));
  // The handle of the slider is 16 pixels wide, so that its middle goes from 8 to 172 of 180.
  const point = ([at, v]) => `${8 + (164 * at) / last} ${19 - (16 * (v - low)) / (high - low || 1)}`;
  const here = known.find(([at]) => at === now), [x, y] = here ? point(here).split(" ") : [];
  return `<svg viewBox="0 0 180 22" aria-hidden="true"><path d="M${known.map(point).join("L")}"/>${here ? `<circle cx="${x}" cy="${y}" r="3"/>` : ""}</svg>`;
}
