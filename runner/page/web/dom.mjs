// Elements of the page, and numbers as people read them.

/** An element with attributes, listeners (on…) and children; texts are never read as HTML. */
export function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name.startsWith("aria-")) made.setAttribute(name, value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

/** A number in few characters, with a real minus sign. */
export function short(v, digits = 3) {
  if (!Number.isFinite(v)) return String(v);
  if (v === 0) return "0";
  const size = Math.abs(v);
  const text = size >= 1e5 || size < 1e-3 ? v.toExponential(1) : String(Number(v.toPrecision(digits)));
  return text.replace("e+", "e").replaceAll("-", "−");
}

/** A number as a further term of a sum. */
export const term = (v) => (v < 0 ? ` − ${short(-v)}` : ` + ${short(v)}`);

/** A number in at most four characters, for the cells of small tables. */
export function tiny(v) {
  const size = Math.abs(v), sign = v < 0 ? "−" : "";
  if (size < 0.005) return "0";
  if (size < 0.995) return `${sign}${size.toFixed(2).slice(1)}`;
  return `${sign}${size < 9.95 ? size.toFixed(1) : size < 1e4 ? size.toFixed(0) : size.toExponential(0).replace("e+", "e")}`;
}

export const percent = (p) => (p > 0 && p < 0.0005 ? "< 0.1 %" : `${(100 * p).toFixed(1)} %`);

export const sizes = (shape) => shape.join("×");
