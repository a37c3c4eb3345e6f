// Line charts in SVG, redrawn when their width changes, so that text keeps its size.
const STROKES = [["var(--s0)", ""], ["var(--s1)", "8 3"], ["var(--s2)", "2 3"], ["var(--s3)", "10 3 2 3"], ["var(--s4)", "4 4"]];

function ticks(low, high, log) {
  if (log) {
    const made = [];
    for (let e = Math.ceil(Math.log10(low) - 1e-9); e <= Math.log10(high) + 1e-9; e++) made.push(10 ** e);
    return made;
  }
  const rough = (high - low) / 5 || 1;
  const base = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((m) => m * base).find((s) => s >= rough * 0.999);
  const made = [];
  for (let t = Math.ceil(low / step - 1e-9) * step; t <= high + step * 1e-9; t += step) made.push(+t.toPrecision(10));
  return made;
}

function extent(series, key) {
  let low = Infinity, high = -Infinity;
  for (const line of series) for (const v of line[key]) {
    if (v == null) continue;
    low = Math.min(low, v);
    high = Math.max(high, v);
  }
  return low <= high ? [low, low === high ? low + 1 : high] : [0, 1];
}

// options: {name, x: {title, range?, log?}, y: {…}, height?}; series: [{name, x, y, dots?}].
function lineChart(options, series) {
  const holder = element("div", { class: "chart", tabindex: "0", role: "group", "aria-label": options.name + ". Left and right arrow keys read its values." });
  const readout = element("p", { class: "readout", role: "status" });
  let read = () => {}, place = 0;
  holder.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -8, ArrowRight: 8 }[event.key];
    if (!by || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    read(place + by);
  });
  const axis = (key) => {
    const own = options[key];
    const range = own.range || extent(series, key);
    const log = own.log && range[0] > 0;
    return { ...own, range, log, place: (v) => {
      const at = log ? Math.log10(v) : v;
      const [a, b] = log ? range.map(Math.log10) : range;
      return (at - a) / (b - a);
    } };
  };
  const x = axis("x"), y = axis("y");
  function draw(width) {
    const height = options.height || Math.max(220, Math.min(380, width * 0.6));
    const left = 52, right = 12, top = 8, bottom = 40;
    const px = (v) => left + x.place(v) * (width - left - right);
    const py = (v) => height - bottom - y.place(v) * (height - top - bottom);
    const svg = element("svg:svg", { viewBox: `0 0 ${width} ${height}`, height, role: "img", "aria-label": options.name });
    const few = (all) => all.filter((_, i) => i % Math.ceil(all.length / Math.max(2, Math.floor(width / 70))) === 0);
    for (const t of few(ticks(...x.range, x.log))) {
      svg.append(element("svg:line", { class: "grid", x1: px(t), x2: px(t), y1: top, y2: height - bottom }));
      svg.append(element("svg:text", { x: px(t), y: height - bottom + 16, "text-anchor": "middle" }, number(t, 4)));
    }
    for (const t of ticks(...y.range, y.log)) {
      svg.append(element("svg:line", { class: "grid", x1: left, x2: width - right, y1: py(t), y2: py(t) }));
      svg.append(element("svg:text", { x: left - 6, y: py(t) + 4, "text-anchor": "end" }, number(t, 3)));
    }
    svg.append(element("svg:text", { x: (left + width - right) / 2, y: height - 6, "text-anchor": "middle" }, x.title));
    if (y.title) svg.append(element("svg:text", { transform: `translate(12 ${(top + height - bottom) / 2}) rotate(-90)`, "text-anchor": "middle" }, y.title));
    series.forEach((line, number_) => {
      const [stroke, dash] = STROKES[number_ % STROKES.length];
      let path = "", pen = "M";
      line.x.forEach((v, i) => {
        if (line.y[i] == null || v == null || (x.log && v <= 0) || (y.log && line.y[i] <= 0)) { pen = "M"; return; }
        path += `${pen}${px(v).toFixed(1)} ${py(line.y[i]).toFixed(1)}`;
        pen = "L";
        if (line.dots) svg.append(element("svg:circle", { cx: px(v), cy: py(line.y[i]), r: 3.5, fill: stroke }));
      });
      svg.append(element("svg:path", { class: "series", d: path, stroke, "stroke-dasharray": dash }));
    });
    read = (at) => {
      readout.textContent = series.map((line) => {
        let best = -1, near = Infinity;
        line.x.forEach((v, i) => {
          const far = Math.abs(px(v) - at);
          if (line.y[i] != null && far < near) { near = far; best = i; }
        });
        return best < 0 ? "" : `${line.name}: ${number(line.y[best])} at ${number(line.x[best], 4)}` + (line.score ? ` (score ${number(line.score[best])})` : "");
      }).join("   ");
      cursor.setAttribute("x1", (place = Math.max(left, Math.min(width - right, at))));
      cursor.setAttribute("x2", place);
      cursor.setAttribute("visibility", "visible");
    };
    const cursor = element("svg:line", { class: "cursor", y1: top, y2: height - bottom, visibility: "hidden" });
    svg.append(cursor);
    svg.addEventListener("pointermove", (event) => read(event.clientX - svg.getBoundingClientRect().left));
    holder.replaceChildren(svg);
  }
  let drawn = 0;
  new ResizeObserver((entries) => {
    const width = Math.round(entries[0].contentRect.width);
    if (width && width !== drawn) draw((drawn = width));
  }).observe(holder);
  const legend = series.length < 2 ? null : element("ul", { class: "legend" }, ...series.map((line, i) => {
    const [stroke, dash] = STROKES[i % STROKES.length];
    return element("li", {}, element("svg:svg", { viewBox: "0 0 32 11", "aria-hidden": "true" },
      element("svg:line", { x1: 0, x2: 32, y1: 6, y2: 6, stroke, "stroke-width": 2.5, "stroke-dasharray": dash })), line.name);
  }));
  return element("div", {}, holder, legend, readout);
}
