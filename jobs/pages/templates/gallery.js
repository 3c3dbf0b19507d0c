// The gallery: which patch met which, and two images of one seed in one place. Everything that is
// here only with a script is made by it.
(() => {
  "use strict";
  const SVG = "http://www.w3.org/2000/svg";
  const FLICKER_MS = 700;
  const STEPS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };

  const numbers = (text) => (text ? text.split(" ").map(Number) : []);

  function element(name, attributes, parent) {
    const made = name === "button" || name === "input" || name === "label" || name === "div" ||
      name === "figure" || name === "figcaption"
      ? document.createElement(name) : document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (parent) parent.append(made);
    return made;
  }

  function gridOf(svg) {
    const { width, height } = svg.viewBox.baseVal;
    const rows = Number(svg.dataset.rows), columns = Number(svg.dataset.columns);
    return { rows, columns, across: width / columns, down: height / rows };
  }

  function mark(svg, index) {
    const grid = gridOf(svg);
    let pair = svg.querySelectorAll(".g-patch");
    if (!pair.length) {
      element("rect", { class: "g-patch g-patch-under" }, svg);
      element("rect", { class: "g-patch" }, svg);
      pair = svg.querySelectorAll(".g-patch");
    }
    for (const rect of pair) {
      rect.setAttribute("x", (index % grid.columns) * grid.across);
      rect.setAttribute("y", Math.floor(index / grid.columns) * grid.down);
      rect.setAttribute("width", grid.across);
      rect.setAttribute("height", grid.down);
    }
  }

  const unmark = (item) => item.querySelectorAll(".g-patch").forEach((rect) => rect.remove());

  function place(svg, index) {
    const columns = Number(svg.dataset.columns);
    return `row ${Math.floor(index / columns) + 1}, column ${(index % columns) + 1}`;
  }

  // Hover, touch and arrow keys go through `look`.
  function explore(item, svg) {
    const values = numbers(svg.dataset.values), matches = numbers(svg.dataset.matches);
    const targets = svg.dataset.kind === "cp"
      ? item.querySelectorAll('.g-generation svg, .g-map[data-kind="pf"]') : [];
    const say = item.querySelector(".g-say");
    const shown = svg.dataset.shown;
    let at = -1;

    function look(index) {
      if (index === at) return;
      unmark(item);
      at = index;
      mark(svg, index);
      if (svg.dataset.kind === "cp") {
        targets.forEach((target) => mark(target, matches[index]));
        const met = targets.length ? ` met best by ${place(targets[0], matches[index])} of the generation:` : ":";
        const counts = shown[index] === "1" ? "" : " (background, so CP does not count it)";
        say.textContent = `Patch ${place(svg, index)} of the reference,${met} cosine ${(values[index] / 1000).toFixed(3)}${counts}`;
      } else if (shown[index] !== "1") {
        say.textContent = `Patch ${place(svg, index)}: foreground, which PF does not see`;
      } else {
        say.textContent = `Patch ${place(svg, index)}: ${(values[index] / 1000).toFixed(2)} times an even share of the attention`;
      }
    }

    function leave() {
      unmark(item);
      at = -1;
      say.textContent = "";
    }

    function under(event) {
      const box = svg.getBoundingClientRect(), grid = gridOf(svg);
      const column = Math.floor(((event.clientX - box.left) / box.width) * grid.columns);
      const row = Math.floor(((event.clientY - box.top) / box.height) * grid.rows);
      if (row >= 0 && column >= 0 && row < grid.rows && column < grid.columns) look(row * grid.columns + column);
    }

    svg.setAttribute("tabindex", "0");
    svg.setAttribute("role", "application");
    svg.setAttribute("aria-label", `${svg.getAttribute("aria-label")}; arrow keys go from patch to patch`);
    svg.addEventListener("pointermove", under);
    svg.addEventListener("pointerdown", under);
    svg.addEventListener("pointerleave", () => { if (document.activeElement !== svg) leave(); });
    svg.addEventListener("focus", () => { if (at < 0) look(middle()); });
    svg.addEventListener("blur", leave);
    svg.addEventListener("keydown", (event) => {
      const step = STEPS[event.key], grid = gridOf(svg);
      if (!step) return;
      event.preventDefault();
      const start = at < 0 ? middle() : at;
      const row = Math.min(grid.rows - 1, Math.max(0, Math.floor(start / grid.columns) + step[0]));
      const column = Math.min(grid.columns - 1, Math.max(0, (start % grid.columns) + step[1]));
      look(row * grid.columns + column);
    });

    function middle() {
      const grid = gridOf(svg);
      return Math.floor(grid.rows / 2) * grid.columns + Math.floor(grid.columns / 2);
    }
  }

  // The candidate lies over the baseline; a slider cuts it, and a button shows one and the other.
  function compare(item) {
    const partner = item.querySelector(".g-partner svg"), own = item.querySelector(".g-generation svg");
    if (!partner || !own) return;
    const figure = element("figure", { class: "g-compare" });
    own.closest(".g-pictures").append(figure);
    const { width, height } = own.viewBox.baseVal, other = partner.viewBox.baseVal;
    const svg = element("svg", { class: "g-picture", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": "Baseline and candidate in one place" }, figure);
    element("use", { href: `#${partner.querySelector("image").id}`, transform: `scale(${width / other.width} ${height / other.height})` }, svg);
    const top = element("g", { class: "g-top" }, svg);
    element("use", { href: `#${own.querySelector("image").id}` }, top);
    const bar = element("div", { class: "g-bar" }, figure);
    const flicker = element("button", { type: "button", "aria-pressed": "false" }, bar);
    flicker.textContent = "Flicker";
    const slider = element("input", { type: "range", min: "0", max: "100", value: "50", "aria-label": "How much of the baseline is seen, from the left" }, bar);
    const caption = element("figcaption", {}, figure);
    const asCut = "Left of the slider the baseline, right of it the candidate";
    caption.textContent = asCut;
    let timer = 0;

    function stop() {
      clearInterval(timer);
      timer = 0;
      delete figure.dataset.flicker;
      flicker.setAttribute("aria-pressed", "false");
      caption.textContent = asCut;
    }

    function turn() {
      figure.dataset.flicker = figure.dataset.flicker === "a" ? "b" : "a";
      caption.textContent = figure.dataset.flicker === "a" ? "Candidate" : "Baseline";
    }

    flicker.addEventListener("click", () => {
      // Who asks for less motion gets one image after the other, a press each.
      if (matchMedia("(prefers-reduced-motion: reduce)").matches) return turn();
      if (timer) return stop();
      flicker.setAttribute("aria-pressed", "true");
      turn();
      timer = setInterval(turn, FLICKER_MS);
    });
    slider.addEventListener("input", () => {
      stop();
      figure.style.setProperty("--cut", `${slider.value}%`);
    });
  }

  for (const item of document.querySelectorAll(".g-item")) {
    item.querySelectorAll(".g-map").forEach((svg) => explore(item, svg));
    compare(item);
  }

  // An address that names a sample which another choice has hidden shows it.
  function reveal() {
    const item = location.hash.startsWith("#sample=") && document.getElementById(location.hash.slice(1));
    const all = document.getElementById("g-kind-all");
    if (!item || !all) return;
    if (getComputedStyle(item).display === "none") {
      all.checked = true;
      item.scrollIntoView();
    }
  }
  addEventListener("hashchange", reveal);
  reveal();
})();
