"use strict";
// The mistakes of a network as cards, which two lists filter by the true and the taken class.

const TEXTS = {
  heading: ["mistakes of {0}", "{0} 的错误"],
  intro: [
    "{0} of {1} validation examples were taken for another class. The most confident mistakes come first. Each shows the training examples that the last hidden layer finds most similar.",
    "{1} 个验证样本中有 {0} 个被认作其他类别。最有把握的错误排在最前。每个错误下面是最后一个隐藏层认为最相似的训练样本。",
  ],
  kept: ["This page has the {0} most confident ones.", "本页只含其中最有把握的 {0} 个。"],
  none: ["All {0} validation examples were classified rightly.", "全部 {0} 个验证样本都分类正确。"],
  nothing: ["No mistake has these two classes.", "没有这两个类别之间的错误。"],
  true: ["true class", "真实类别"],
  taken: ["taken for", "被认作"],
  all: ["all ({0})", "全部（{0}）"],
  clear: ["Show all", "显示全部"],
  count: ["{0} shown", "显示 {0} 个"],
  often: ["most frequent:", "最常见："],
  was: ["true: {0}, which got {1}", "真实类别：{0}，概率 {1}"],
  answer: ["taken for {0}, {1}", "被认作 {0}，概率 {1}"],
  near: ["nearest training examples", "最相近的训练样本"],
  language: ["中文", "English"],
};
const found = JSON.parse(document.getElementById("found").textContent);
const asked = new URLSearchParams(location.hash.slice(1));
const state = {
  language: (asked.get("lang") ?? (navigator.language.startsWith("zh") ? "zh" : "en")) === "zh" ? 1 : 0,
  true: number(asked.get("true")),
  taken: number(asked.get("taken")),
};

function number(text) {
  const value = text === null || text === "" ? -1 : Number(text);
  return Number.isInteger(value) && value >= 0 && value < found.classes.length ? value : -1;
}

const say = (key, ...values) => TEXTS[key][state.language].replace(/\{(\d)\}/g, (_, place) => String(values[Number(place)]));
// A share below 1 is never shown as 100 %.
const percent = (share) => (share === 1 ? "100%" : `${(Math.min(share, 0.9999) * 100).toFixed(share > 0.995 || share < 0.01 ? 2 : 1)}%`);

function el(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

const seen = (example) => (example.picture
  ? el("img", { src: example.picture, alt: example.name, loading: "lazy" })
  : el("div", { class: "text" }, example.text));

function card(mistake) {
  const { example } = mistake;
  const near = mistake.near.map((place) => {
    const other = found.trained[place];
    const kind = other.label === example.label ? "own" : other.label === mistake.taken ? "wrong" : "";
    const name = found.classes[other.label];
    return el("figure", { class: kind, title: `${name}: ${other.name}` }, seen(other), el("figcaption", {}, name));
  });
  return el("article", { class: example.picture ? "" : "texts" },
    el("div", { class: "seen" }, seen(example)),
    el("div", {},
      el("div", { class: "taken" }, say("answer", found.classes[mistake.taken], percent(mistake.confidence))),
      el("div", { class: "bar" }, bar(mistake.confidence)),
      el("div", { class: "true" }, say("was", found.classes[example.label], percent(mistake.given))),
      el("div", { class: "name" }, example.name),
      ...(near.length ? [el("div", { class: "about" }, say("near")), el("div", { class: "near" }, ...near)] : [])));
}

function bar(share) {
  const filled = el("i");
  filled.style.width = `${share * 100}%`;
  return filled;
}

const fits = (mistake, isTrue, taken) => (isTrue < 0 || mistake.example.label === isTrue) && (taken < 0 || mistake.taken === taken);

/** A list of the classes that mistakes have, with how many; those of the other list's class are counted. */
function choice(key) {
  const others = found.mistakes.filter((one) => (key === "true" ? fits(one, -1, state.taken) : fits(one, state.true, -1)));
  const classOf = (one) => (key === "true" ? one.example.label : one.taken);
  const counts = new Map();
  others.forEach((one) => counts.set(classOf(one), (counts.get(classOf(one)) ?? 0) + 1));
  if (state[key] >= 0 && !counts.has(state[key])) counts.set(state[key], 0);
  const options = [...counts].sort((a, b) => a[0] - b[0]).map(([label, count]) => el("option", { value: label }, `${found.classes[label]} (${count})`));
  const list = el("select", { id: key, onchange: () => show({ [key]: Number(list.value) }) },
    el("option", { value: -1 }, say("all", others.length)), ...options);
  list.value = String(state[key]);
  return el("label", {}, say(key), list);
}

function pairs() {
  const counts = new Map();
  for (const one of found.mistakes) {
    const key = `${one.example.label} ${one.taken}`;
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  const most = [...counts].sort((a, b) => b[1] - a[1]).slice(0, 8);
  return el("div", { class: "pairs" }, say("often"), ...most.map(([key, count]) => {
    const [label, taken] = key.split(" ").map(Number);
    const held = state.true === label && state.taken === taken;
    return el("button", { "aria-pressed": held, onclick: () => show(held ? { true: -1, taken: -1 } : { true: label, taken }) },
      `${found.classes[label]} → ${found.classes[taken]} (${count})`);
  }));
}

function show(changed = {}) {
  const focused = document.activeElement?.id;
  Object.assign(state, changed);
  document.documentElement.lang = state.language ? "zh-CN" : "en";
  const parts = new URLSearchParams({ lang: state.language ? "zh" : "en" });
  for (const key of ["true", "taken"]) if (state[key] >= 0) parts.set(key, state[key]);
  try {
    history.replaceState(null, "", `#${parts}`);
  } catch {
    // A frame without an address of its own, as in the MLflow UI, keeps none.
  }
  const shown = found.mistakes.filter((one) => fits(one, state.true, state.taken));
  const few = found.mistakes.length < found.wrong ? ` ${say("kept", found.mistakes.length)}` : "";
  const intro = found.wrong ? say("intro", found.wrong.toLocaleString("en"), found.examples.toLocaleString("en")) + few : say("none", found.examples.toLocaleString("en"));
  const language = el("button", { id: "language", onclick: () => show({ language: 1 - state.language }) }, say("language"));
  const header = el("header", {}, el("h1", {}, say("heading", found.title)), el("p", {}, intro), language);
  const filters = el("div", { class: "filters" }, choice("true"), choice("taken"),
    el("button", { id: "clear", onclick: () => show({ true: -1, taken: -1 }) }, say("clear")),
    el("span", { class: "count", role: "status" }, say("count", shown.length)));
  const cards = shown.length ? shown.map(card) : found.wrong ? [el("p", { class: "note" }, say("nothing"))] : [];
  const body = found.wrong ? [pairs(), filters, el("main", {}, ...cards)] : [];
  document.body.replaceChildren(...document.querySelectorAll("script"), header, ...body);
  if (focused) document.getElementById(focused)?.focus();
}

show();
