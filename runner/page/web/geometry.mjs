// Window arithmetic along one axis, and what the YAML would be told of an impossible window; as runner/geometry.py and
// runner/layers/window.py have them.

const NAMED = ["valid", "same", "full", "causal"];

/** The window of a setting on an axis: [size, stride, dilation, low, high]. */
export function windowOf({ size, stride, dilation, padding }, length) {
  const span = dilation * (size - 1);
  if (padding === "valid") return [size, stride, dilation, 0, 0];
  if (padding === "full") return [size, stride, dilation, span, span];
  if (padding === "causal") return [size, stride, dilation, span, 0];
  if (padding === "same") {
    const total = Math.max((Math.ceil(length / stride) - 1) * stride + span + 1 - length, 0);
    return [size, stride, dilation, Math.floor(total / 2), total - Math.floor(total / 2)];
  }
  return [size, stride, dilation, padding, padding];
}

/** What is wrong with a setting on an input of two axes, in the words of the program; empty if it is possible. */
export function faultOf(setting, length, channels = 1) {
  const least = { size: 1, stride: 1, dilation: 1, padding: 0 }, yaml = { size: "kernel_size" };
  for (const [name, bound] of Object.entries(least)) {
    const value = setting[name];
    if (typeof value !== "number") continue;
    if (name !== "padding" && value < bound) return { name, text: `${yaml[name] ?? name}: must be ≥ ${bound}, got ${value}` };
    if (name === "padding" && value < 0)
      return { name, text: `padding: must be ${NAMED.join(", ")}, pixels, [h, w] or [[top, bottom], [left, right]], got ${value}` };
  }
  if (setting.padding === "causal") return { name: "padding", text: "padding: must not be causal over two axes, got causal" };
  const [size, , dilation, low, high] = windowOf(setting, length), extent = dilation * (size - 1) + 1;
  const most = { reflect: length - 1, circular: length }[setting.mode];
  if (most !== undefined && Math.max(low, high) > most)
    return { name: "padding", text: `padding: must be at most ${most} pixels under padding_mode ${setting.mode}, got ${setting.padding}` };
  if (length + low + high < extent)
    return { name: "size", text: `kernel_size: must fit the ${length}×${length}×${channels} input, got ${extent}×${extent}` };
  return null;
}

export const PADDINGS = NAMED;
