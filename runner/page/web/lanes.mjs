// Where branches and shortcuts run beside the layers: a lane for each path, as a history of versions draws them.

/** For each node: its lane, the lanes that come in and go out, and those that pass by. */
export function lanes(nodes) {
  const readers = nodes.map(() => []);
  nodes.forEach((node, at) => node.inputs.forEach((input) => readers[input].push(at)));
  let edges = []; // {to, lane} from a node above to one that is still to come
  return nodes.map((node, at) => {
    const incoming = edges.filter((edge) => edge.to === at).map((edge) => edge.lane);
    const passing = edges.filter((edge) => edge.to !== at);
    const lane = incoming.length ? Math.min(...incoming) : 0;
    const taken = new Set(passing.map((edge) => edge.lane)), outgoing = [];
    [...readers[at]].sort((a, b) => a - b).forEach((to, n) => {
      let own = lane;
      if (n > 0 || taken.has(own)) for (own = 0; taken.has(own) || own === lane; own++);
      taken.add(own);
      outgoing.push({ to, lane: own });
    });
    edges = [...passing, ...outgoing];
    return { lane, incoming, outgoing: outgoing.map((edge) => edge.lane), passing: passing.map((edge) => edge.lane) };
  });
}

const WIDE = 13, HIGH = 30;
const middle = (lane) => WIDE * lane + 9;

/** The gutter beside a row, as an element that is as high as the row. */
export function gutter({ lane, incoming, outgoing, passing }, count) {
  const width = WIDE * count + 8, dot = middle(lane);
  const line = (from, to, high) =>
    `<path d="M${middle(from)} 0 C${middle(from)} ${high / 2} ${middle(to)} ${high / 2} ${middle(to)} ${high}"/>`;
  const straight = (list, high) => list.map((one) => line(one, one, high)).join("");
  const svg = (body, high) => `<svg width="${width}" height="${high}">${body}</svg>`;
  const join = incoming.length > 1 ? `<circle class="join" cx="${dot}" cy="${HIGH}" r="5"/>` : "";
  const top = svg(incoming.map((one) => line(one, lane, HIGH)).join("") + straight(passing, HIGH), HIGH);
  const bottom = svg(outgoing.map((one) => line(lane, one, HIGH)).join("") + straight(passing, HIGH), HIGH);
  const through = [...new Set([...passing, ...(outgoing.length ? [lane] : [])])];
  const bars = through.map((one) => `<i style="left:${middle(one) - 1}px"></i>`).join("");
  const node = join || `<circle cx="${dot}" cy="${HIGH}" r="4"/>`;
  const made = document.createElement("div");
  made.className = "gutter";
  made.style.width = `${width}px`;
  made.setAttribute("aria-hidden", "true");
  made.innerHTML = `${top}<svg class="dot" width="${width}" height="${2 * HIGH}">${node}</svg><div>${bars}</div>${bottom}`;
  return made;
}
