// Arrays from the texts that hold them: base64, of floats of 32 and 16 bits, or deflated bytes.

export const bytesOf = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));

/** Values of a type as floats. */
export function arrayOf(bytes, type) {
  const kinds = { uint8: Uint8Array, int32: Int32Array, float32: Float32Array, float64: Float64Array };
  return Float32Array.from(new kinds[type](bytes.buffer));
}

/** Numbers of 16 bits as floats. */
export function halves(bytes) {
  return Float32Array.from(new Uint16Array(bytes.buffer), (v) => {
    const sign = v & 0x8000 ? -1 : 1, power = (v >> 10) & 31, rest = v & 1023;
    return power ? sign * 2 ** (power - 15) * (1 + rest / 1024) : (sign * rest) / 2 ** 24;
  });
}

/** Bytes that were deflated and written in base64. */
export async function inflated(text) {
  const stream = new Blob([bytesOf(text)]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}
