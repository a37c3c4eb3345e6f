// The zoomable view of one image with its boxes, on a canvas. The address names the image and the
// box (#photo=12&box=d34), so that links, Back and bookmarks work.
const viewer = (() => {
  if (!images) return { route() {} };
  const byId = (id) => document.getElementById(id);
  const dialog = byId("viewer"), canvas = byId("view"), brush = canvas.getContext("2d");
  const now = { image: -1, boxes: [], marked: null, scale: 1, x: 0, y: 0, picture: null, crops: [] };
  const filter = { classes: new Set(report.classes.map((_, k) => k)), kinds: new Set(), score: report.shown_score };
  const byClass = element("input", { type: "checkbox" });
  let opener = null, frame = 0;

  const accepted = (box) => filter.classes.has(box.class) && filter.kinds.has(box.sort + box.kind)
    && (box.score == null || box.score >= filter.score);
  const visible = () => now.boxes.filter((box) => accepted(box) || box.key === now.marked);

  function draw() {
    frame = 0;
    const ratio = window.devicePixelRatio || 1;
    const width = canvas.clientWidth, height = canvas.clientHeight;
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    brush.setTransform(ratio, 0, 0, ratio, 0, 0);
    const [h, w] = images.sizes[now.image];
    const place = (x, y) => [(x - now.x) * now.scale + width / 2, (y - now.y) * now.scale + height / 2];
    const [left, top] = place(0, 0);
    brush.fillStyle = "#8a9199";
    brush.fillRect(left, top, w * now.scale, h * now.scale);
    brush.imageSmoothingEnabled = now.scale < 3;
    if (now.picture) brush.drawImage(now.picture, left, top, w * now.scale, h * now.scale);
    for (const { frame: [a, b, c, d], picture } of now.crops) {
      brush.drawImage(picture, ...place(a, b), (c - a) * now.scale, (d - b) * now.scale);
    }
    for (const box of visible()) {
      const style = look(box.sort, box.kind);
      const [a, b] = place(box.box[0], box.box[1]), [c, d] = place(box.box[2], box.box[3]);
      if (c < 0 || d < 0 || a > width || b > height) continue;
      const marked = box.key === now.marked;
      for (const [stroke, thick, dash] of [["rgba(0,0,0,.75)", marked ? 7 : 4, []], [byClass.checked ? classColour(box.class) : style.colour, marked ? 3.5 : 2, style.dash]]) {
        brush.strokeStyle = stroke;
        brush.lineWidth = thick;
        brush.setLineDash(dash);
        brush.strokeRect(a, b, c - a, d - b);
      }
      if (marked || (c - a) * (d - b) > 1600) caption(box, a, box.sort === "label" ? d + 15 : b - 5);
    }
  }
  function caption(box, x, y) {
    const text = report.classes[box.class] + (box.score == null ? "" : " " + box.score.toFixed(2));
    brush.font = "12px system-ui, sans-serif";
    brush.fillStyle = "rgba(0,0,0,.75)";
    brush.fillRect(x - 2, y - 12, brush.measureText(text).width + 6, 16);
    brush.fillStyle = "#fff";
    brush.fillText(text, x + 1, y);
  }
  function redraw() {
    if (!frame && dialog.open) frame = requestAnimationFrame(draw);
  }
  function fitScale() {
    const [h, w] = images.sizes[now.image];
    return Math.max(1e-4, Math.min(canvas.clientWidth / w, canvas.clientHeight / h) * 0.98);
  }
  function fit() {
    const [h, w] = images.sizes[now.image];
    Object.assign(now, { scale: fitScale(), x: w / 2, y: h / 2 });
    tell();
  }
  function zoom(factor, at) {
    const scale = Math.min(24, Math.max(fitScale() / 2, now.scale * factor));
    if (at) {
      now.x += at[0] / now.scale - at[0] / scale;
      now.y += at[1] / now.scale - at[1] / scale;
    }
    now.scale = scale;
    tell();
  }
  function tell() {
    const count = now.boxes.filter(accepted).length;
    const blank = now.picture ? "" : " This file does not contain the image.";
    byId("viewer-status").textContent = `${count} of ${now.boxes.length} boxes shown, zoom ${Math.round(now.scale * 100)} %.${blank}`;
    redraw();
  }
  function list() {
    const items = visible().slice(0, 300).map((box) => {
      const button = element("button", { type: "button", "aria-current": box.key === now.marked ? "true" : null }, describe(box));
      button.addEventListener("click", () => mark(box));
      return element("li", {}, button);
    });
    byId("boxes").replaceChildren(...items);
    tell();
  }
  function mark(box) {
    now.marked = box.key;
    const [a, b, c, d] = box.box;
    now.x = (a + c) / 2;
    now.y = (b + d) / 2;
    const room = Math.min(canvas.clientWidth, canvas.clientHeight) / (4 * Math.max(c - a, d - b, 8));
    now.scale = Math.min(6, Math.max(fitScale(), room));
    list();
  }
  function step(by) {
    const all = visible();
    if (!all.length) return;
    const at = all.findIndex((box) => box.key === now.marked);
    mark(all[at < 0 ? (by > 0 ? 0 : all.length - 1) : (at + by + all.length) % all.length]);
  }
  function load(source, done) {
    const picture = new Image();
    picture.onload = () => { done(picture); redraw(); };
    picture.src = source;
  }
  function show(image, key) {
    Object.assign(now, { image, boxes: boxesOf(image), marked: key || null, picture: null, crops: [] });
    byId("viewer-title").textContent = images.names[image];
    canvas.setAttribute("aria-label", `Image ${images.names[image]} with boxes`);
    if (!dialog.open) {
      opener = document.activeElement;
      dialog.showModal();
    }
    const held = byId("photo-" + image);
    const current = (action) => (picture) => { if (now.image === image) action(picture); };
    if (held) load(held.textContent, current((picture) => { now.picture = picture; tell(); }));
    for (const gallery of report.galleries || []) for (const item of gallery.items) {
      if (item.image === image && item.crop) load(item.crop, current((picture) => now.crops.push({ frame: item.frame, picture })));
    }
    fit();
    const target = now.boxes.find((box) => box.key === key);
    if (target) mark(target);
    else list();
    canvas.focus();
  }
  const go = (by) => {
    const count = images.names.length;
    history.replaceState(null, "", "#photo=" + ((now.image + by + count) % count));
    route();
  };
  const move = (dx, dy) => {
    now.x += dx / now.scale;
    now.y += dy / now.scale;
    redraw();
  };
  const setClasses = (on) => {
    byId("classes").querySelectorAll("input").forEach((box) => { box.checked = on; });
    filter.classes = new Set(on ? report.classes.map((_, k) => k) : []);
    list();
  };
  const ACTIONS = {
    previous: () => go(-1), next: () => go(1), in: () => zoom(1.5), out: () => zoom(1 / 1.5), fit,
    native: () => zoom(1 / now.scale), close: () => dialog.close(), all: () => setClasses(true), none: () => setClasses(false),
  };
  const KEYS = {
    ArrowLeft: () => move(-60, 0), ArrowRight: () => move(60, 0), ArrowUp: () => move(0, -60), ArrowDown: () => move(0, 60),
    "+": ACTIONS.in, "=": ACTIONS.in, "-": ACTIONS.out, 0: fit, 1: ACTIONS.native,
    n: () => step(1), p: () => step(-1), ",": ACTIONS.previous, ".": ACTIONS.next,
  };
  canvas.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !KEYS[event.key]) return;
    event.preventDefault();
    KEYS[event.key]();
  });
  dialog.addEventListener("click", (event) => {
    const button = event.target.closest("[data-do]");
    if (button) ACTIONS[button.dataset.do]();
  });
  dialog.addEventListener("close", () => {
    history.replaceState(null, "", location.pathname + location.search);
    if (opener && opener.isConnected) opener.focus({ preventScroll: true });
  });
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoom(Math.exp(-event.deltaY / 400), [event.offsetX - canvas.clientWidth / 2, event.offsetY - canvas.clientHeight / 2]);
  }, { passive: false });
  // Pressed pointers: one drags, two zoom.
  const held = new Map();
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    held.set(event.pointerId, [event.clientX, event.clientY]);
  });
  canvas.addEventListener("pointermove", (event) => {
    const before = held.get(event.pointerId);
    if (!before) return;
    const spread = () => {
      const [a, b] = [...held.values()];
      return Math.hypot(a[0] - b[0], a[1] - b[1]);
    };
    const wide = held.size === 2 ? spread() : 0;
    held.set(event.pointerId, [event.clientX, event.clientY]);
    if (held.size === 1) move(before[0] - event.clientX, before[1] - event.clientY);
    else if (held.size === 2 && wide > 0) zoom(spread() / wide);
  });
  for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, (event) => held.delete(event.pointerId));
  new ResizeObserver(redraw).observe(canvas);

  function tick(set, key, text, sign) {
    const box = element("input", { type: "checkbox", checked: set.has(key) });
    box.addEventListener("change", () => { box.checked ? set.add(key) : set.delete(key); list(); });
    return element("label", {}, box, sign, text);
  }
  for (const sort of ["label", "detection"]) {
    report.kinds[sort].forEach((kind, k) => {
      filter.kinds.add(sort + k);
      byId("kinds").append(tick(filter.kinds, sort + k, (sort === "label" ? "object: " : "detection: ") + kind.name, swatch(look(sort, k))));
    });
  }
  const chip = (k) => element("span", { class: "chip", style: `background:${classColour(k)}`, "aria-hidden": "true" });
  report.classes.forEach((name, k) => byId("classes").append(tick(filter.classes, k, name, chip(k))));
  byClass.addEventListener("change", redraw);
  byId("classes").before(element("label", {}, byClass, "Colour by class (as in the demo's pictures)"));
  const slider = byId("score");
  const showScore = () => { byId("score-value").textContent = (+slider.value).toFixed(2); };
  slider.value = filter.score;
  showScore();
  slider.addEventListener("input", () => { filter.score = +slider.value; showScore(); list(); });

  function route() {
    const wanted = new URLSearchParams(location.hash.slice(1));
    const image = wanted.has("photo") ? +wanted.get("photo") : -1;
    if (Number.isInteger(image) && image >= 0 && image < images.names.length) show(image, wanted.get("box"));
    else if (dialog.open) dialog.close();
  }
  return { route, state: now, visible };
})();
