// Galleries of crops, and the table of all images. Crops are drawn only near the window.
const PAGE = 60, ROWS = 50;

function overlay(item) {
  const [x0, y0, x1, y1] = item.frame;
  const unit = Math.max(1, (x1 - x0) / 400);
  const svg = element("svg:svg", { viewBox: `${x0} ${y0} ${x1 - x0} ${y1 - y0}`, "aria-hidden": "true" });
  for (const box of boxesOf(item.image)) {
    const [a, b, c, d] = box.box;
    if (c < x0 || a > x1 || d < y0 || b > y1) continue;
    // Only confident detections and the one of this item, since more would hide the image.
    if (box.sort === "detection" && box.index !== item.detection && box.score < report.shown_score) continue;
    const style = look(box.sort, box.kind);
    const shape = { x: a, y: b, width: c - a, height: d - b, fill: "none" };
    svg.append(
      element("svg:rect", { ...shape, stroke: "#111", "stroke-width": 3.5 * unit, "stroke-opacity": 0.7 }),
      element("svg:rect", { ...shape, stroke: style.colour, "stroke-width": 1.8 * unit, "stroke-dasharray": style.dash.map((l) => l * unit).join(" ") }));
  }
  return svg;
}

function card(item) {
  const [x0, y0, x1, y1] = item.frame;
  const mark = item.label != null ? "l" + item.label : "d" + item.detection;
  const frame = element("span", { class: "crop", style: `width:${x1 - x0}px;aspect-ratio:${x1 - x0}/${y1 - y0}` });
  const text = `${item.text}`;
  const link = element("a", { href: `#photo=${item.image}&box=${mark}` }, frame,
    element("span", { class: "caption", style: `width:${Math.max(130, x1 - x0)}px` }, text, element("br"), element("small", {}, images.names[item.image])));
  whenNear(link, () => {
    if (item.crop) frame.append(element("img", { src: item.crop, alt: "" }));
    frame.append(overlay(item));
  });
  return element("li", {}, link);
}

function gallery(packed) {
  const list = element("ul", { class: "gallery" });
  const more = element("button", { type: "button" }, "Show more");
  const pick = element("select", { "aria-label": packed.name + ": class" }, element("option", { value: "" }, "all classes"));
  const classes = [...new Set(packed.items.map((item) => item.class))].sort((a, b) => a - b);
  classes.forEach((k) => pick.append(element("option", { value: k }, report.classes[k])));
  const type = element("select", { "aria-label": packed.name + ": type" }, element("option", { value: "" }, "all types"));
  const sort = packed.items.some((item) => item.label != null) ? "label" : "detection";
  const types = [...new Set(packed.items.map((item) => item.kind))].sort((a, b) => a - b);
  types.forEach((k) => type.append(element("option", { value: k }, report.kinds[sort][k].name)));
  let shownCount = 0;
  const chosen = () => packed.items.filter((item) => (pick.value === "" || item.class === +pick.value)
    && (type.value === "" || item.kind === +type.value));
  function extend() {
    const items = chosen();
    list.append(...items.slice(shownCount, shownCount + PAGE).map(card));
    shownCount = Math.min(items.length, shownCount + PAGE);
    more.hidden = shownCount >= items.length;
  }
  for (const select of [pick, type]) select.addEventListener("change", () => { list.replaceChildren(); shownCount = 0; extend(); });
  more.addEventListener("click", () => {
    const before = list.children.length;
    extend();
    list.children[before]?.querySelector("a").focus();
  });
  extend();
  return [element("p", { class: "controls" }, pick, type, `${packed.items.length} in this page of ${number(packed.total)}`), list, element("p", {}, more)];
}

function legendOfKinds() {
  const items = [];
  for (const sort of ["label", "detection"]) {
    report.kinds[sort].forEach((kind) => items.push(element("li", { title: kind.note || null },
      swatch(LOOKS[kind.key] || LOOKS.ignored), (sort === "label" ? "object: " : "detection: ") + kind.name)));
  }
  return element("ul", { class: "legend" }, ...items);
}

function photographTable() {
  const wrongOf = (sort) => report.kinds[sort].map((kind) => !!kind.wrong);
  const wrong = { label: wrongOf("label"), detection: wrongOf("detection") };
  const rows = images.names.map((name, image) => {
    const row = { name, image, missed: 0, wrong: 0 };
    row.labels = tables.label.count[image];
    for (let i = tables.label.start[image]; i < tables.label.start[image + 1]; i++) row.missed += wrong.label[tables.label.kind[i]];
    for (let i = tables.detection.start[image]; i < tables.detection.start[image + 1]; i++) {
      row.wrong += wrong.detection[tables.detection.kind[i]] && tables.detection.score[i] >= report.shown_score;
    }
    return row;
  });
  const search = element("input", { type: "search", id: "find-photograph", placeholder: "part of the name" });
  const order = element("select", { id: "order-photographs" },
    element("option", { value: "missed" }, "most missed"), element("option", { value: "wrong" }, "most wrong detections"),
    element("option", { value: "labels" }, "most objects"), element("option", { value: "image" }, "order of the dataset"));
  const body = element("tbody");
  const state = element("span", { role: "status" });
  const buttons = ["Previous", "Next"].map((name) => element("button", { type: "button" }, `${name} ${ROWS}`));
  let first = 0;
  function draw() {
    const wanted = search.value.toLowerCase();
    const matching = rows.filter((row) => row.name.toLowerCase().includes(wanted));
    const key = order.value;
    matching.sort((a, b) => (key === "image" ? a.image - b.image : b[key] - a[key] || a.image - b.image));
    first = Math.max(0, Math.min(first, matching.length - 1));
    first -= first % ROWS;
    body.replaceChildren(...matching.slice(first, first + ROWS).map((row) => element("tr", {},
      element("td", {}, element("a", { href: "#photo=" + row.image }, row.name)),
      element("td", {}, number(row.labels)), element("td", {}, number(row.missed)), element("td", {}, number(row.wrong)))));
    state.textContent = matching.length ? `${first + 1} to ${Math.min(first + ROWS, matching.length)} of ${number(matching.length)}` : "none";
    buttons[0].disabled = first === 0;
    buttons[1].disabled = first + ROWS >= matching.length;
  }
  const back = () => { first = 0; draw(); };
  search.addEventListener("input", back);
  order.addEventListener("change", back);
  buttons[0].addEventListener("click", () => { first -= ROWS; draw(); });
  buttons[1].addEventListener("click", () => { first += ROWS; draw(); });
  draw();
  return [
    element("p", { class: "controls" }, element("label", { for: "find-photograph" }, "Name "), search,
      element("label", { for: "order-photographs" }, "Sort by "), order, ...buttons, state),
    element("div", { class: "scroll" }, element("table", {}, element("thead", {}, element("tr", {},
      ...["Image", "Objects", "Missed", `Wrong, score ≥ ${number(report.shown_score)}`].map((t) => element("th", { scope: "col" }, t)))), body)),
  ];
}
