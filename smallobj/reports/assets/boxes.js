// Columns of labels and detections, and the style of each kind of box.
const ARRAYS = { u1: Uint8Array, u2: Uint16Array, u4: Uint32Array, i4: Int32Array, f4: Float32Array };

function column(packed) {
  const bytes = Uint8Array.from(atob(packed.data), (letter) => letter.charCodeAt(0));
  return new ARRAYS[packed.type](bytes.buffer);
}

function table(packed) {
  if (!packed) return null;
  const columns = {};
  for (const [name, values] of Object.entries(packed)) columns[name] = column(values);
  columns.start = new Uint32Array(columns.count.length + 1);
  for (let i = 0; i < columns.count.length; i++) columns.start[i + 1] = columns.start[i] + columns.count[i];
  return columns;
}

const report = JSON.parse(document.getElementById("report-data").textContent);
const images = report.images || null;
const tables = images ? { label: table(images.labels), detection: table(images.detections) } : null;

// Kinds differ in dash pattern as well as in colour. The colours are Okabe and Ito's, which
// colour-blind readers can distinguish.
const LOOKS = {
  found: { colour: "#56b4e9", dash: [] },
  near: { colour: "#f0e442", dash: [9, 2] },
  missed: { colour: "#f0e442", dash: [] },
  crowd: { colour: "#bbbbbb", dash: [2, 2] },
  right: { colour: "#00c48c", dash: [7, 3] },
  class: { colour: "#cc79a7", dash: [2, 3] },
  location: { colour: "#e69f00", dash: [10, 3, 2, 3] },
  both: { colour: "#d55e00", dash: [4, 2, 1, 2, 1, 2] },
  duplicate: { colour: "#ffffff", dash: [1, 2] },
  background: { colour: "#d55e00", dash: [5, 3] },
  ignored: { colour: "#bbbbbb", dash: [1, 4] },
};

function look(sort, kind) {
  return LOOKS[report.kinds[sort][kind].key] || LOOKS.ignored;
}

// The colour of a class in the demo's pictures.
function classColour(index) {
  return (report.class_colours || [])[index] || "#bbbbbb";
}

// Boxes of one image: {sort, index, box, class, kind, score}.
function boxesOf(image) {
  const boxes = [];
  for (const sort of ["label", "detection"]) {
    const columns = tables[sort];
    for (let i = columns.start[image]; i < columns.start[image + 1]; i++) {
      boxes.push({
        sort, index: i, key: sort[0] + i, box: columns.box.subarray(4 * i, 4 * i + 4),
        class: columns.class[i], kind: columns.kind[i],
        score: sort === "detection" ? columns.score[i] : null,
      });
    }
  }
  return boxes;
}

function describe(box) {
  const [x0, y0, x1, y1] = box.box;
  const what = report.kinds[box.sort][box.kind].name;
  const score = box.score == null ? "" : " " + box.score.toFixed(2);
  return `${what}: ${report.classes[box.class]}${score}, ${Math.round(x1 - x0)}×${Math.round(y1 - y0)} px`;
}

function swatch(style) {
  const line = (stroke, width) => element("svg:line", {
    x1: 1, y1: 6, x2: 27, y2: 6, stroke, "stroke-width": width,
    "stroke-dasharray": width > 3 ? null : style.dash.join(" "),
  });
  return element("svg:svg", { class: "swatch", viewBox: "0 0 28 12", "aria-hidden": "true" },
    line("#222", 7), line(style.colour, 3));
}
