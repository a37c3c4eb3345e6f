// Creation of elements and formatting of numbers. Text of the data is only ever inserted as text
// nodes or attributes.
function element(name, attributes, ...children) {
  const made = name.startsWith("svg:")
    ? document.createElementNS("http://www.w3.org/2000/svg", name.slice(4))
    : document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value === true) made.setAttribute(key, "");
    else if (value !== false && value != null) made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child != null));
  return made;
}

function number(value, digits = 3) {
  if (value == null) return "–";
  if (Number.isInteger(value)) return value.toLocaleString("en");
  return Math.abs(value) >= 1000 ? Math.round(value).toLocaleString("en") : +value.toPrecision(digits) + "";
}

function percent(value) {
  return value == null ? "–" : (value * 100).toFixed(1);
}

function shown(value, unit) {
  return unit === "percent" ? percent(value) : number(value);
}

let sectionCount = 0;
function section(title, note, ...children) {
  const id = "section-" + ++sectionCount;
  const heading = element("h2", { id: id + "-title" }, title);
  document.getElementById("contents").append(element("a", { href: "#" + id }, title));
  const made = element(
    "section", { id, "aria-labelledby": id + "-title" },
    heading, note ? element("p", { class: "note" }, note) : null, ...children,
  );
  document.getElementById("main").append(made);
  return made;
}

// Calls back once, when an element scrolls near the window.
const nearby = new IntersectionObserver(
  (entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      nearby.unobserve(entry.target);
      entry.target.whenNear();
    }
  },
  { rootMargin: "600px" },
);
function whenNear(target, action) {
  target.whenNear = action;
  nearby.observe(target);
}
