// Transposed convolution: the gradient of a convolution by its input. node.args.transposed has the windows of that
// convolution, which leads from the output back to the input.
import { convolve, convolveBack } from "./convolution.mjs";
import { asMap, channelsOf, perChannel } from "./shapes.mjs";

/** The windows of both axes of the convolution that is transposed. */
export const backwards = ({ args: { transposed } }) => (transposed.length === 1 ? [[1, 1, 1, 0, 0], ...transposed] : transposed);

export const convTranspose = {
  forward([x], t, node) {
    const { groups } = node.args, shape = asMap(node.shape), filters = shape[2];
    const blank = new Float32Array(shape[0] * shape[1] * filters);
    const { x: y } = convolveBack(blank, shape, backwards(node), t.kernel, channelsOf(node), groups, x);
    return t.bias ? y.map((v, i) => v + t.bias[i % filters]) : y;
  },
  back([x], y, g, t, node) {
    const { groups } = node.args, shape = asMap(node.shape), windows = backwards(node), c = channelsOf(node);
    const { kernel } = convolveBack(g, shape, windows, t.kernel, c, groups, x);
    const by = convolve(g, shape, windows, t.kernel, c, groups, null);
    return { xs: [by], t: t.bias ? { kernel, bias: perChannel(g, shape[2]) } : { kernel } };
  },
};

/** The pixels of an axis whose filters reach a position of the output, from tap to tap; −1 where there is none. */
export function reaching(at, [size, stride, dilation, low], length) {
  return Array.from({ length: size }, (_, tap) => {
    const pixel = (at + low - tap * dilation) / stride;
    return Number.isInteger(pixel) && pixel >= 0 && pixel < length ? pixel : -1;
  });
}
