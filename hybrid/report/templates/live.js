// The live panel: the kernel in WebAssembly, its inputs, a plot along one of them, and all derivatives.
(async function () {
  const data = JSON.parse(document.getElementById("live-data").textContent);
  const panel = document.getElementById("panel");
  const byId = (id) => document.getElementById(id);
  let WIDTH = 660, HEIGHT = 380;
  const SAMPLES = 280, LEFT = 62, RIGHT = 14, TOP = 14, BOTTOM = 34;

  // --- the kernel ---
  async function load() {
    const bytes = Uint8Array.from(atob(data.wasm), (c) => c.charCodeAt(0));
    let memory = null, free = 0, top = 0;
    function need(end) {
      const missing = end - memory.buffer.byteLength;
      if (missing > 0) memory.grow(Math.ceil(missing / 65536));
    }
    // What the kernel takes for the time of a call begins after the numbers, anew with every call.
    const env = {
      malloc(size) { const at = free; free = (free + Number(size) + 63) & ~63; need(free); return at; },
      free() {},
    };
    const { instance } = await WebAssembly.instantiate(bytes, { env });
    memory = instance.exports.memory;
    const kernel = instance.exports[data.symbol];
    let end = memory.buffer.byteLength; // beyond whatever the module itself uses
    const place = (sizes) => sizes.map((size) => { const at = end; end += 8 * size; return at; });
    const inputs = place(data.arguments), results = place(data.results);
    top = (end + 63) & ~63;
    need(top);
    const total = data.results.reduce((a, b) => a + b, 0), count = data.start.length;
    return function evaluate(x) {
      new Float64Array(memory.buffer, inputs[0] ?? 0, count).set(x);
      free = top;
      kernel(...inputs, ...results);
      return new Float64Array(memory.buffer, results[0], total).slice();
    };
  }

  let evaluate;
  try {
    evaluate = await load();
  } catch (error) {
    byId("live-problem").textContent = "The kernel does not run in this browser: " + error.message;
    byId("live-problem").hidden = false;
    return;
  }

  // --- reading results: values, then first derivatives, then second ones ---
  const n = data.variables.length, m = data.outputs.length;
  function reader(part, offset) {
    if (!part) return null;
    if (!part.places) return (results, flat) => results[offset + flat];
    const at = new Map(part.places.map((flat, k) => [flat, k]));
    return (results, flat) => (at.has(flat) ? results[offset + at.get(flat)] : 0);
  }
  const length = (part) => (part.places ? part.places.length : part.size);
  const readFirst = reader(data.first, m);
  const readSecond = reader(data.second, m + length(data.first));
  const slopeOf = (r, k, j) => readFirst(r, k * n + j);
  const curvatureOf = (r, k, i, j) => readSecond(r, (k * n + i) * n + j);

  // --- state and controls ---
  const x = Float64Array.from(data.start);
  const controls = new Map(data.controls.map((control) => [control.place, control]));
  const movable = data.controls.filter((control) => data.variables.includes(control.place));
  let along = movable[0], output = 0;
  const along_ = byId("along"), output_ = byId("output");
  function fill(select, items) { for (const [value, text] of items) select.append(new Option(text, value)); }
  fill(along_, movable.map((control) => [control.place, control.text]));
  if (output_) fill(output_, data.outputs.map((label, k) => [k, label.text]));
  along_.addEventListener("change", () => { along = controls.get(Number(along_.value)); refresh(); });
  output_?.addEventListener("change", () => { output = Number(output_.value); refresh(); });
  byId("reset").addEventListener("click", () => {
    x.set(data.start);
    for (const control of data.controls) write(control.place);
    refresh();
  });
  const shown = (value) => String(Number(value.toPrecision(6)));
  function write(place, but) {
    const slider = byId("slider-" + place), field = byId("field-" + place);
    if (but !== slider) slider.value = x[place];
    if (but !== field) field.value = shown(x[place]);
  }
  function set(place, value, but) {
    if (!Number.isFinite(value)) return;
    x[place] = value;
    write(place, but);
    refresh();
  }
  for (const control of data.controls) {
    for (const id of ["slider-", "field-"]) {
      const input = byId(id + control.place);
      input.addEventListener("input", () => { if (input.value !== "") set(control.place, Number(input.value), input); });
      if (id === "field-") input.addEventListener("change", () => write(control.place));
    }
    write(control.place);
  }

  // --- the plot ---
  const plot = byId("plot");
  const NAMESPACE = "http://www.w3.org/2000/svg";
  function draw(tag, attributes, content) {
    const made = document.createElementNS(NAMESPACE, tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    if (content !== undefined) made.textContent = content;
    return made;
  }
  const lines = {};
  plot.append(draw("clipPath", { id: "inside" }));
  const inside = draw("rect", { x: LEFT, y: TOP });
  plot.firstChild.append(inside);
  /** Letters keep their size: the picture is as many units wide as it has pixels. */
  function fit() {
    WIDTH = Math.max(300, Math.round(plot.clientWidth || 660));
    HEIGHT = Math.round(Math.min(Math.max(WIDTH * 0.58, 260), 400));
    plot.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
    inside.setAttribute("width", WIDTH - LEFT - RIGHT);
    inside.setAttribute("height", HEIGHT - TOP - BOTTOM);
  }
  for (const name of ["grid", "here", "curve", "tangent", "parabola"]) {
    lines[name] = draw("path", name === "grid" ? { class: name } : { class: name, "clip-path": "url(#inside)" });
    plot.append(lines[name]);
  }
  const ticks = draw("g", {}), mark = draw("circle", { class: "mark", r: 6 });
  plot.append(ticks, mark);

  function nice(low, high, count) {
    const raw = (high - low) / count, power = 10 ** Math.floor(Math.log10(raw));
    const step = power * [1, 2, 5, 10].find((factor) => factor * power >= raw * (1 - 1e-9));
    const found = [];
    for (let t = Math.ceil(low / step); t * step <= high * (1 + 1e-12) + step * 1e-9; t++) found.push(t * step);
    return found.map((t) => (Math.abs(t) < step * 1e-9 ? 0 : t));
  }
  const tick = (value) => String(Number(value.toPrecision(6))).replace("-", "−");

  function range(values) {
    const finite = values.filter(Number.isFinite).sort((a, b) => a - b);
    if (!finite.length) return [-1, 1];
    let low = finite[0], high = finite[finite.length - 1];
    const inner = [finite[Math.floor(finite.length * 0.04)], finite[Math.ceil(finite.length * 0.96) - 1]];
    if (high - low > 12 * (inner[1] - inner[0]) && inner[1] > inner[0]) [low, high] = inner; // a pole
    const pad = 0.08 * (high - low) || Math.max(Math.abs(high) * 0.1, 1e-12);
    return [low - pad, high + pad];
  }

  let scale = null;
  function drawPlot(value, slope, curvature) {
    const here = x[along.place];
    const low = Math.min(along.low, here), high = Math.max(along.high, here);
    const point = Float64Array.from(x), at = [], values = [];
    for (let k = 0; k <= SAMPLES; k++) {
      point[along.place] = low + (high - low) * k / SAMPLES;
      at.push(point[along.place]);
      values.push(evaluate(point)[output]);
    }
    const [bottom, top] = range([...values, value]);
    const px = (t) => LEFT + (WIDTH - LEFT - RIGHT) * (t - low) / (high - low);
    const py = (y) => TOP + (HEIGHT - TOP - BOTTOM) * (top - y) / (top - bottom);
    scale = { low, high };
    const far = 4 * (top - bottom);
    /** A step that is much larger than those beside it is a jump, not a slope. */
    function jumps(ys, k) {
      const step = (i) => Math.abs(ys[i] - ys[i - 1]);
      if (k < 2 || k > SAMPLES - 1 || !(step(k) > 0.02 * (top - bottom))) return false;
      return step(k) > 8 * Math.max(step(k - 1), step(k + 1));
    }
    function path(ys) {
      let text = "", open = false;
      ys.forEach((y, k) => {
        const seen = Number.isFinite(y) && y > bottom - far && y < top + far;
        open = open && !jumps(ys, k);
        if (seen) text += (open ? "L" : "M") + px(at[k]).toFixed(2) + " " + py(y).toFixed(2);
        open = seen;
      });
      return text;
    }
    lines.curve.setAttribute("d", path(values));
    const ready = Number.isFinite(value) && Number.isFinite(slope);
    lines.tangent.setAttribute("d", ready ? path(at.map((t) => value + slope * (t - here))) : "");
    const bent = ready && curvature !== null && Number.isFinite(curvature);
    lines.parabola.setAttribute("d", bent ? path(at.map((t) => value + slope * (t - here) + curvature * (t - here) ** 2 / 2)) : "");
    const shownHere = Number.isFinite(value);
    mark.setAttribute("visibility", shownHere ? "visible" : "hidden");
    if (shownHere) { mark.setAttribute("cx", px(here)); mark.setAttribute("cy", py(value)); }
    lines.here.setAttribute("d", `M${px(here)} ${TOP}V${HEIGHT - BOTTOM}`);
    let grid = "";
    const labels = [];
    for (const t of nice(low, high, WIDTH < 440 ? 4 : 6)) {
      grid += `M${px(t)} ${TOP}V${HEIGHT - BOTTOM}`;
      labels.push(draw("text", { x: px(t), y: HEIGHT - BOTTOM + 20, "text-anchor": "middle", class: "tick" }, tick(t)));
    }
    for (const y of nice(bottom, top, 7)) {
      grid += `M${LEFT} ${py(y)}H${WIDTH - RIGHT}`;
      labels.push(draw("text", { x: LEFT - 8, y: py(y) + 4, "text-anchor": "end", class: "tick" }, tick(y)));
    }
    lines.grid.setAttribute("d", grid);
    ticks.replaceChildren(...labels);
  }

  function slide(event) {
    const box = plot.getBoundingClientRect();
    const across = ((event.clientX - box.left) / box.width * WIDTH - LEFT) / (WIDTH - LEFT - RIGHT);
    set(along.place, scale.low + Math.min(Math.max(across, 0), 1) * (scale.high - scale.low));
  }
  plot.addEventListener("pointerdown", (event) => { plot.setPointerCapture(event.pointerId); slide(event); });
  plot.addEventListener("pointermove", (event) => { if (plot.hasPointerCapture(event.pointerId)) slide(event); });

  // --- values and matrices ---
  const caption = data.scalar ? "Gradient" : "Jacobian";
  const rows = data.scalar ? [{ html: "∇", text: data.name }] : data.outputs;
  const showFirst = numbers.matrix(byId("first"), rows, data.columns, caption);
  const showSecond = readSecond && numbers.matrix(byId("second"), data.columns, data.columns, "Hessian");
  for (const id of ["second-part", "parabola-key", "curvature-fact"]) byId(id).hidden = !readSecond;

  function say(id, value) {
    byId(id).textContent = numbers.format(value);
    byId(id).dataset.value = String(value);
  }
  let speaking = null, quiet = true;
  function speak(text) {
    clearTimeout(speaking);
    if (!quiet) speaking = setTimeout(() => { byId("spoken").textContent = text; }, 500);
    quiet = false;
  }

  function update() {
    const results = evaluate(x);
    const j = data.variables.indexOf(along.place);
    const value = results[output], slope = slopeOf(results, output, j);
    const curvature = readSecond ? curvatureOf(results, output, j, j) : null;
    say("value", value);
    say("slope", slope);
    if (readSecond) say("curvature", curvature);
    byId("value-name").innerHTML = data.outputs[output].html;
    showFirst((i, k) => slopeOf(results, i, k), data.scalar ? -1 : output, j);
    if (readSecond) {
      const entry = (i, k) => curvatureOf(results, output, i, k);
      showSecond(entry, j, j);
      byId("second-title").innerHTML = data.scalar ? "Hessian" : `Hessian of ${data.outputs[output].html}`;
      const found = n <= 12 ? numbers.eigenvalues(entry, n) : null;
      byId("eigenvalues").textContent = found
        ? `Eigenvalues ${found.map(numbers.format).join(", ")}: ${numbers.definiteness(found)}.` : "";
    }
    drawPlot(value, slope, curvature);
    for (const control of data.controls) {
      byId("slider-" + control.place).closest(".control").classList.toggle("along", control === along);
    }
    const name = data.outputs[output].text, where = `${along.text} = ${numbers.format(x[along.place])}`;
    const told = `${name} = ${numbers.format(value)}, slope ${numbers.format(slope)}`
      + (readSecond ? `, curvature ${numbers.format(curvature)}` : "");
    plot.setAttribute("aria-label", `Plot of ${name} along ${along.text} with its tangent and parabola. At ${where}: ${told}.`);
    speak(`At ${where}: ${told}.`);
  }
  let asked = false;
  function refresh() {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => { asked = false; update(); });
  }
  document.addEventListener("repaint", refresh);

  panel.hidden = false;
  fit();
  update();
  new ResizeObserver(() => {
    if (Math.round(plot.clientWidth) !== WIDTH && plot.clientWidth >= 300) { fit(); refresh(); }
  }).observe(plot.parentElement);
  const end = performance.now() + 30;
  let best = Infinity;
  while (performance.now() < end) {
    const begin = performance.now();
    for (let k = 0; k < 64; k++) evaluate(x);
    const each = (performance.now() - begin) / 64 * 1000;
    if (each > 0) best = Math.min(best, each);
  }
  if (best < Infinity) byId("pace").textContent = `In this browser one evaluation of all this takes ${best.toPrecision(2)} µs.`;
})();
