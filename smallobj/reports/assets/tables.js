// Tables with bars, and the confusion matrix.

// packed: {columns: [{name, unit, bar?}], rows: [{name, values, note?}]}. Click on a head to sort.
function barTable(packed, firstName) {
  const most = packed.columns.map((c, k) => c.unit === "percent" && !c.fit ? 1
    : Math.max(1e-12, ...packed.rows.map((row) => Math.abs(row.values[k] || 0))));
  const hasNotes = packed.rows.some((row) => row.note);
  const body = element("tbody");
  const fill = (rows) => body.replaceChildren(...rows.map((row) => element("tr", {},
    element("th", { scope: "row" }, row.name, row.note ? element("small", {}, row.note) : null),
    ...row.values.map((value, k) => packed.columns[k].bar
      ? element("td", { class: "bar" }, element("span", { class: "track" },
          element("span", { class: "fill", style: `width:${(70 * Math.abs(value || 0)) / most[k]}%` }),
          shown(value, packed.columns[k].unit)))
      : element("td", {}, shown(value, packed.columns[k].unit))),
    hasNotes ? element("td", { class: "text" }, row.note || "") : null)));
  const heads = [];
  const sortBy = (k, head) => {
    const down = head.getAttribute("aria-sort") !== "descending";
    heads.forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const key = (row) => (k < 0 ? row.name : row.values[k]);
    const rows = packed.rows.slice().sort((a, b) => {
      if (key(a) == null) return 1;
      if (key(b) == null) return -1;
      const order = k < 0 ? key(a).localeCompare(key(b)) : key(a) - key(b);
      return down ? -order : order;
    });
    fill(rows);
  };
  const head = (name, k) => {
    const made = element("th", { scope: "col", class: k >= 0 && packed.columns[k].bar ? "bar" : null }, element("button", { type: "button" }, name));
    made.firstChild.addEventListener("click", () => sortBy(k, made));
    heads.push(made);
    return made;
  };
  fill(packed.rows);
  return element("div", { class: "scroll" }, element("table", {},
    element("thead", {}, element("tr", {}, head(firstName, -1),
      ...packed.columns.map((c, k) => head(c.name + (c.unit === "percent" ? " (%)" : ""), k)),
      hasNotes ? element("td", { class: "text" }) : null)), body));
}

function confusionTable(packed) {
  const { names, counts } = packed;
  const holder = element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Confusion matrix" });
  const hide = element("input", { type: "checkbox", id: "hide-empty", checked: true });
  function draw() {
    const total = (k) => counts[k].reduce((a, b) => a + b, 0) + counts.reduce((a, row) => a + row[k], 0);
    const kept = names.map((_, k) => k).filter((k) => !hide.checked || total(k) > 0);
    const head = element("tr", {}, element("td", {}, "label ↓ detected as →"),
      ...kept.map((k) => element("th", { scope: "col" }, element("span", {}, names[k]))));
    const rows = kept.map((r) => {
      const sum = counts[r].reduce((a, b) => a + b, 0);
      return element("tr", {}, element("th", { scope: "row" }, names[r]), ...kept.map((c) => {
        const count = counts[r][c];
        const share = sum ? count / sum : 0;
        const background = r === names.length - 1 && c === r;
        return element("td", {
          class: r === c && !background ? "same" : null,
          style: count ? `background:rgba(var(--heat),${(0.08 + 0.52 * share).toFixed(2)})` : null,
          title: `${names[r]} detected as ${names[c]}: ${count} (${percent(share)} % of the row)`,
        }, background ? "" : count ? number(count) : "·");
      }));
    });
    holder.replaceChildren(element("table", { class: "confusion" }, element("thead", {}, head), element("tbody", {}, ...rows)));
  }
  hide.addEventListener("change", draw);
  draw();
  return element("div", {}, element("p", { class: "controls" },
    element("label", { for: "hide-empty" }, hide, " only classes that occur")), holder);
}
