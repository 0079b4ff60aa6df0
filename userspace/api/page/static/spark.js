// Sparklines: the last ten minutes as a line, in SVG.
const svg = "http://www.w3.org/2000/svg";
const width = 100, height = 16;

export function makeSpark() {
  const node = document.createElementNS(svg, "svg");
  node.setAttribute("class", "spark");
  node.setAttribute("viewBox", `0 -1 ${width} ${height + 2}`);
  node.setAttribute("preserveAspectRatio", "none");
  node.setAttribute("aria-hidden", "true");
  for (const name of ["area", "line"]) {
    const path = document.createElementNS(svg, "path");
    path.setAttribute("class", name);
    node.append(path);
  }
  return node;
}

// A row without anything in ten minutes has no line.
export function drawSpark(node, points) {
  const highest = Math.max(...points);
  const [area, line] = node.children;
  const y = (value) => (height - value / highest * height).toFixed(1);
  const step = width / (points.length - 1);
  const way = highest > 0 ? points.map((value, i) => `${i ? "L" : "M"}${(i * step).toFixed(1)} ${y(value)}`).join("") : "";
  line.setAttribute("d", way);
  area.setAttribute("d", way && `${way}L${width} ${height}L0 ${height}Z`);
}
