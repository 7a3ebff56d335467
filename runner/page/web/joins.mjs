// What joins paths. froms are the shapes of the inputs.
import { product } from "./shapes.mjs";

const add = {
  forward: (xs) => xs.slice(1).reduce((sum, x) => sum.map((v, i) => v + x[i]), xs[0]),
  back: (xs, y, g) => ({ xs: xs.map(() => g), t: {} }),
};

const multiply = {
  forward: (xs, t, { shape }) => {
    const y = new Float32Array(product(shape)).fill(1);
    // A flat input multiplies every position.
    for (const x of xs) for (let i = 0; i < y.length; i++) y[i] *= x[i % x.length];
    return y;
  },
  back(xs, y, g) {
    const back = xs.map((x) => new Float64Array(x.length));
    for (let i = 0; i < y.length; i++)
      xs.forEach((x, n) => {
        const others = xs.reduce((all, other, m) => (m === n ? all : all * other[i % other.length]), 1);
        back[n][i % x.length] += g[i] * others;
      });
    return { xs: back.map((x) => Float32Array.from(x)), t: {} };
  },
};

const concat = {
  forward(xs, t, { froms, shape }) {
    const y = new Float32Array(product(shape)), width = shape[shape.length - 1];
    this.each(froms, width, y.length / width, (n, from, to) => (y[to] = xs[n][from]));
    return y;
  },
  back(xs, y, g, t, { froms, shape }) {
    const back = xs.map((x) => new Float32Array(x.length)), width = shape[shape.length - 1];
    this.each(froms, width, y.length / width, (n, from, to) => (back[n][from] = g[to]));
    return { xs: back, t: {} };
  },
  each(froms, width, places, use) {
    let first = 0;
    froms.forEach((from, n) => {
      const c = from[from.length - 1];
      for (let at = 0; at < places; at++) for (let k = 0; k < c; k++) use(n, at * c + k, at * width + first + k);
      first += c;
    });
  },
};

export const JOINS = { add, multiply, concat };
