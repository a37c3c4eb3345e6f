// The sections of the page, in order. Sections without data are left out.
function headlineTable(rows) {
  const between = (row) => (row.low == null ? "" : `${shown(row.low, row.unit)} to ${shown(row.high, row.unit)}`);
  const hasRange = rows.some((row) => row.low != null);
  return element("div", { class: "scroll" }, element("table", {},
    element("thead", {}, element("tr", {}, ...["Metric", "Value", hasRange ? report.interval || "95 % interval" : null]
      .filter((t) => t != null).map((t) => element("th", { scope: "col" }, t)), element("td", { class: "text" }))),
    element("tbody", {}, ...rows.map((row) => element("tr", {}, element("th", { scope: "row" }, row.name, row.note ? element("small", {}, row.note) : null),
      element("td", {}, shown(row.value, row.unit) + (row.unit === "percent" && row.value != null ? " %" : "")),
      hasRange ? element("td", {}, between(row)) : null, element("td", { class: "text" }, row.note || ""))))));
}

function curveChart(curves) {
  const pick = element("select", { id: "pick-curve" }, element("option", { value: "0" }, "none"));
  curves.slice(1).forEach((curve, k) => pick.append(element("option", { value: k + 1 }, `${curve.name} (AP ${percent(curve.ap)} %)`)));
  const holder = element("div");
  const draw = () => {
    const chosen = +pick.value ? [curves[0], curves[+pick.value]] : [curves[0]];
    const series = chosen.map((c) => ({ name: `${c.name}, AP ${percent(c.ap)} %`, x: c.recall, y: c.precision, score: c.score }));
    holder.replaceChildren(lineChart({
      name: "Precision against recall: " + series.map((line) => line.name).join(", "),
      x: { title: "recall", range: [0, 1] }, y: { title: "precision", range: [0, 1] } }, series));
  };
  pick.addEventListener("change", draw);
  draw();
  return [curves.length > 1 ? element("p", { class: "controls" }, element("label", { for: "pick-curve" }, "Compare with class "), pick) : null, holder];
}

function calibrationChart(packed) {
  const rows = packed.rows.filter((row) => row.count > 0);
  return lineChart({ name: "Precision against score", x: { title: "score", range: [0, 1] }, y: { title: "precision", range: [0, 1] } }, [
    { name: "perfect calibration", x: [0, 1], y: [0, 1] },
    { name: "this detector", x: rows.map((r) => r.confidence), y: rows.map((r) => r.precision), dots: true }]);
}

function trainingCharts(curves) {
  const holder = element("div", { class: "multiples" });
  for (const curve of curves) {
    const cell = element("div", {}, element("h3", {}, curve.name));
    holder.append(cell);
    whenNear(cell, () => cell.append(lineChart({ name: curve.name, height: 190, x: { title: "iteration" }, y: { title: "" } },
      [{ name: curve.name, x: curve.x, y: curve.y }])));
  }
  return holder;
}

const facts = document.getElementById("facts");
for (const [name, value] of report.facts || []) facts.append(element("dt", {}, name), element("dd", {}, value));

if (report.headline) section("Headline", report.headline_note, headlineTable(report.headline));
if (report.curves) section("Precision and recall", report.curves_note, ...curveChart(report.curves));
if (report.size_bins) section("By size", report.size_bins.note, barTable(report.size_bins, "Size"));
if (report.seams) section("At the edges of tiles", report.seams.note, barTable(report.seams, "Place"));
if (report.per_class) section("By class", report.per_class.note, barTable(report.per_class, "Class"));
if (report.confusion) section("Confusion", report.confusion.note, confusionTable(report.confusion));
if (report.errors) section("Errors", report.errors.note, barTable(report.errors, "Error"));
if (report.misses) {
  section("Misses against false positives", report.misses.note, lineChart({
    name: "Miss rate against false positives per image", x: { title: "false positives per image", log: true, range: report.misses.range },
    y: { title: "miss rate", range: [0, 1] } }, [{ name: "miss rate", x: report.misses.fppi, y: report.misses.miss_rate }]));
}
if (report.calibration) section("Calibration", report.calibration.note, calibrationChart(report.calibration));
if (report.training) section("Training", report.training_note, trainingCharts(report.training));
if (images) {
  for (const packed of report.galleries || []) {
    if (packed.items.length) section(packed.name, packed.note, legendOfKinds(), ...gallery(packed));
  }
  section("Images", report.photographs_note, ...photographTable());
}
window.addEventListener("hashchange", viewer.route);
viewer.route();
