"use strict";
// Colours, copying, the contents, printing and the graph. Everything else on the page works without.
(function () {
  const root = document.documentElement;

  // --- colours: as the system, light, dark ---
  const THEMES = [["", "System"], ["light", "Light"], ["dark", "Dark"]];
  const toggle = document.getElementById("theme");
  const themeName = document.getElementById("theme-name");
  const store = { get() { try { return localStorage.getItem("theme") || ""; } catch { return ""; } },
                  set(value) { try { localStorage.setItem("theme", value); } catch { /* a page from a file */ } } };
  function paint(theme) {
    if (theme) root.dataset.theme = theme; else delete root.dataset.theme;
    const name = THEMES.find((row) => row[0] === theme)[1];
    themeName.textContent = name;
    toggle.setAttribute("aria-label", `${name} colours`);
    document.dispatchEvent(new Event("repaint"));
  }
  toggle.addEventListener("click", () => {
    const at = THEMES.findIndex((row) => row[0] === (root.dataset.theme || ""));
    const next = THEMES[(at + 1) % THEMES.length][0];
    store.set(next);
    paint(next);
  });
  const kept = store.get();
  paint(THEMES.some((row) => row[0] === kept) ? kept : "");

  // --- copying ---
  async function copy(text) {
    try { await navigator.clipboard.writeText(text); return true; } catch { /* not allowed here */ }
    const area = document.createElement("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
  for (const button of document.querySelectorAll("button.copy")) {
    const name = button.textContent;
    button.addEventListener("click", async () => {
      const done = await copy(document.getElementById(button.dataset.copy).textContent);
      button.textContent = done ? "Copied" : "Not allowed here";
      button.focus();
      setTimeout(() => { button.textContent = name; }, 1600);
    });
  }

  // --- the contents follow the reading ---
  const links = [...document.querySelectorAll(".contents a")];
  const sections = links.map((link) => document.querySelector(link.getAttribute("href")));
  function follow() {
    let at = -1;
    sections.forEach((section, k) => { if (section.getBoundingClientRect().top < innerHeight * 0.4) at = k; });
    if (innerHeight + scrollY >= root.scrollHeight - 2 && scrollY > 0) at = links.length - 1;
    links.forEach((link, k) => {
      if (k === at) link.setAttribute("aria-current", "true"); else link.removeAttribute("aria-current");
    });
  }
  addEventListener("scroll", follow, { passive: true });
  follow();

  // --- paper has nothing to unfold ---
  let folded = [];
  addEventListener("beforeprint", () => {
    folded = [...document.querySelectorAll("details:not([open])")];
    for (const part of folded) part.open = true;
  });
  addEventListener("afterprint", () => { for (const part of folded) part.open = false; });

  // --- the graph: drag, arrows, plus and minus ---
  const viewer = document.getElementById("graph");
  if (!viewer) return;
  const picture = document.getElementById("graph-picture");
  const all = { x: 0, y: 0, w: Number(picture.dataset.width), h: Number(picture.dataset.height) };
  let view = { ...all };
  function show() { picture.setAttribute("viewBox", [view.x, view.y, view.w, view.h].join(" ")); }
  function zoom(factor, x = view.x + view.w / 2, y = view.y + view.h / 2) {
    const w = Math.min(Math.max(view.w * factor, 60), all.w * 3);
    const f = w / view.w;
    view = { x: x - (x - view.x) * f, y: y - (y - view.y) * f, w, h: view.h * f };
    show();
  }
  function move(dx, dy) { view.x += dx * view.w; view.y += dy * view.h; show(); }
  function reset() { view = { ...all }; show(); }
  const keys = { "+": () => zoom(0.8), "=": () => zoom(0.8), "-": () => zoom(1.25), "0": reset,
                 ArrowLeft: () => move(-0.1, 0), ArrowRight: () => move(0.1, 0),
                 ArrowUp: () => move(0, -0.1), ArrowDown: () => move(0, 0.1) };
  viewer.addEventListener("keydown", (event) => {
    if (event.target !== viewer || event.ctrlKey || event.metaKey || !keys[event.key]) return;
    keys[event.key]();
    event.preventDefault();
  });
  const tools = { in: () => zoom(0.8), out: () => zoom(1.25), all: reset };
  for (const button of viewer.querySelectorAll("[data-zoom]")) {
    button.addEventListener("click", tools[button.dataset.zoom]);
  }
  function place(event) {
    const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(picture.getScreenCTM().inverse());
    return [point.x, point.y];
  }
  viewer.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.metaKey) return; // plain scrolling is the page's
    event.preventDefault();
    zoom(event.deltaY < 0 ? 0.9 : 1 / 0.9, ...place(event));
  }, { passive: false });
  let held = null;
  picture.addEventListener("pointerdown", (event) => {
    held = place(event);
    picture.setPointerCapture(event.pointerId);
    picture.classList.add("held");
  });
  picture.addEventListener("pointermove", (event) => {
    if (!held) return;
    const [x, y] = place(event);
    view.x += held[0] - x;
    view.y += held[1] - y;
    show();
  });
  for (const end of ["pointerup", "pointercancel"]) {
    picture.addEventListener(end, () => { held = null; picture.classList.remove("held"); });
  }
})();
