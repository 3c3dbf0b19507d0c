// What the page does beside being read: sorting, searching, hovering, and a view of each model and
// concept behind a permanent link. Names are a stranger's: they become text nodes, and nothing else.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const byId = (id) => document.getElementById(id);
  const UNKNOWN = "(unknown)", DASH = "\u2013";
  const ROWS = 60, FIRST_ROWS = 25;

  document.documentElement.classList.add("scripted");

  // Parts of the page.

  /** An element with attributes, texts and children; null ones are left out. */
  function make(tag, attributes, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes || {})) {
      if (value !== null && value !== undefined) element.setAttribute(name, value);
    }
    element.append(...children.filter((child) => child !== null));
    return element;
  }
  const named = (name) =>
    name === null ? UNKNOWN : name.replace(/[\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]/g, " ") || "(empty)";
  const isolated = (name) => make("bdi", null, named(name));
  const figure = (value, digits = 3) => (value === null || value === undefined ? DASH : value.toFixed(digits));
  const grouped = new Intl.NumberFormat("en");
  const count = (n) => (n === null || n === undefined ? DASH : grouped.format(n));
  const linkTo = (kind, name) => `#${kind}=${encodeURIComponent(name === null ? "" : name)}`;
  const titleOf = (column) => data.titles[column] || column;

  function table(headers, rows, label) {
    const head = headers.map((text, place) => make("th", { scope: "col", class: place ? null : "left" }, text));
    const body = rows.map((cells) => {
      const [first, ...others] = cells;
      return make("tr", null, make("th", { scope: "row", class: "left" }, first), ...others.map((cell) => make("td", null, cell)));
    });
    const whole = make("table", null, make("thead", null, make("tr", null, ...head)), make("tbody", null, ...body));
    return make("div", { class: "scroll", role: "region", tabindex: "0", "aria-label": label }, whole);
  }

  // Colours.

  const THEMES = { auto: "as the system has them", light: "light", dark: "dark" };
  function setTheme(theme) {
    if (theme === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    const button = byId("theme");
    button.dataset.now = theme;
    button.lastElementChild.textContent = theme;
    button.setAttribute("aria-label", `Colours: ${THEMES[theme]}`);
  }
  function remembered() {
    try { return localStorage.getItem("masc-theme"); } catch { return null; }
  }
  setTheme(remembered() in THEMES ? remembered() : "auto");
  byId("theme").addEventListener("click", () => {
    const names = Object.keys(THEMES);
    const next = names[(names.indexOf(byId("theme").dataset.now) + 1) % names.length];
    setTheme(next);
    try { localStorage.setItem("masc-theme", next); } catch { /* A page from disk may have no storage. */ }
  });

  // Sorting: a header's words become a button; lines without a figure stay last.

  function sortBy(whole, place, isNumber, descending) {
    const value = (row) => {
      const cell = row.cells[place];
      const text = cell.dataset.v === undefined ? cell.textContent : cell.dataset.v;
      if (!isNumber) return text;
      return text === "" || text === DASH ? NaN : Number(text);
    };
    const compare = isNumber ? (a, b) => a - b : (a, b) => a.localeCompare(b, "en", { numeric: true });
    const body = whole.tBodies[0];
    const rows = [...body.rows].map((row) => [value(row), row]);
    rows.sort(([a], [b]) => {
      if (isNumber && (Number.isNaN(a) || Number.isNaN(b))) return Number.isNaN(a) - Number.isNaN(b);
      return descending ? compare(b, a) : compare(a, b);
    });
    body.append(...rows.map(([, row]) => row));
  }
  for (const whole of document.querySelectorAll("table[data-sortable]")) {
    for (const words of whole.querySelectorAll("thead .sort")) {
      const header = words.closest("th");
      const button = make("button", { type: "button", class: "sort" }, ...words.childNodes);
      words.replaceWith(button);
      button.addEventListener("click", () => {
        const isNumber = header.dataset.type === "number";
        const now = header.getAttribute("aria-sort");
        // Of scores the highest is looked for first; of ranks and names the first.
        const descending = now === null ? isNumber && header.cellIndex > 1 : now === "ascending";
        for (const other of whole.tHead.rows[0].cells) other.removeAttribute("aria-sort");
        header.setAttribute("aria-sort", descending ? "descending" : "ascending");
        sortBy(whole, header.cellIndex, isNumber, descending);
      });
    }
  }

  // Searching.

  const plain = (text) => text.normalize("NFKD").toLowerCase();
  byId("find-model").addEventListener("input", (event) => {
    const wanted = plain(event.target.value.trim());
    let n = 0;
    const rows = document.querySelectorAll(".board tbody tr");
    for (const row of rows) {
      row.hidden = !plain(row.cells[1].textContent).includes(wanted);
      n += !row.hidden;
    }
    byId("found-models").textContent = wanted ? `${count(n)} of ${count(rows.length)}` : "";
  });

  // Copying: as tab-separated text, which spreadsheets take.

  const textOf = (cell) => (cell.querySelector(".figure") || cell).textContent.replace(/\s+/g, " ").trim();
  for (const button of document.querySelectorAll("[data-copy]")) {
    button.addEventListener("click", async () => {
      const whole = button.closest("section").querySelector("table");
      const rows = [...whole.rows].filter((row) => !row.hidden);
      const text = rows.map((row) => [...row.cells].map((cell) => textOf(cell.querySelector(".sort") || cell)).join("\t")).join("\n");
      let said = "Copied";
      try {
        await navigator.clipboard.writeText(text);
      } catch {
        getSelection().selectAllChildren(whole);
        said = document.execCommand("copy") ? "Copied" : "Selected";
      }
      button.textContent = said;
      setTimeout(() => { button.textContent = "Copy table"; }, 1600);
    });
  }

  // Hovering, and the same by keyboard.

  const tip = byId("tip");
  function showTip(target, x, y) {
    const said = target.dataset.tip || saidOfCell(target);
    tip.hidden = !said;
    if (!said) return;
    tip.textContent = said;
    const box = tip.getBoundingClientRect();
    const left = Math.min(x + 14, innerWidth - box.width - 8);
    const top = y + 18 + box.height > innerHeight ? y - box.height - 10 : y + 18;
    tip.style.left = `${Math.max(8, left)}px`;
    tip.style.top = `${Math.max(8, top)}px`;
  }
  const tipped = (event) => (event.target instanceof Element ? event.target.closest("[data-tip], #heat td") : null);
  document.addEventListener("pointermove", (event) => {
    const target = tipped(event);
    if (target) showTip(target, event.clientX, event.clientY);
    else tip.hidden = true;
  });
  document.addEventListener("focusin", (event) => {
    const target = tipped(event);
    if (!target) { tip.hidden = true; return; }
    const box = (target.querySelector(".dot, .median") || target).getBoundingClientRect();
    showTip(target, box.right, box.top);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    if (!tip.hidden) tip.hidden = true;
    else if (!byId("detail").hidden) location.hash = "leaderboard";
  });

  // Concepts by models.

  const concepts = data.concepts.concept;
  const columns = Object.keys(data.cells.means);
  const meanOf = (column) => data.concepts[`${column}_mean`];
  const ORDERS = ["low", "high", "spread", "name"];
  const heat = { column: "cp", order: "low", wanted: "", first: 0, shown: data.heat.shown };

  function level(column, value) {
    const [least, most] = data.heat.ends[column];
    const share = most > least ? (value - least) / (most - least) : 0;
    return Math.max(0, Math.min(data.heat.levels - 1, Math.floor(share * data.heat.levels)));
  }
  function spread(column, place) {
    const known = data.cells.means[column].map((row) => row[place]).filter((value) => value !== null);
    return known.length > 1 ? Math.max(...known) - Math.min(...known) : null;
  }
  function modelMean(column, place) {
    const known = data.cells.means[column].map((row) => row[place]).filter((value) => value !== null);
    return known.length ? known.reduce((a, b) => a + b, 0) / known.length : null;
  }
  function orderedConcepts() {
    const wanted = plain(heat.wanted);
    const places = concepts.map((_, place) => place).filter((place) => plain(named(concepts[place])).includes(wanted));
    if (heat.order === "name") return places;
    const figures = new Map(places.map((place) => [place, heat.order === "spread" ? spread(heat.column, place) : modelMean(heat.column, place)]));
    const sign = heat.order === "low" ? 1 : -1;
    return places.sort((a, b) => {
      const [x, y] = [figures.get(a), figures.get(b)];
      if (x === null || y === null) return (x === null) - (y === null);
      return sign * (x - y) || a - b;
    });
  }
  function heatRow(place) {
    const concept = concepts[place];
    const cells = data.models.map((_, row) => {
      const value = data.cells.means[heat.column][row][place];
      return make("td", { class: value === null ? null : `h${level(heat.column, value)}` }, figure(value));
    });
    const link = make("a", { href: linkTo("concept", concept) }, isolated(concept));
    return make("tr", null, make("th", { scope: "row", class: "left" }, link), make("td", null, figure(modelMean(heat.column, place))), ...cells);
  }
  function saidOfCell(cell) {
    const place = heat.shown[cell.parentElement.sectionRowIndex], row = cell.cellIndex - 2;
    if (row < 0) return `${named(concepts[place])}: mean of all models`;
    const value = data.cells.means[heat.column][row][place];
    return `${named(concepts[place])}, ${named(data.models[row].model)}: ${titleOf(heat.column)} ${figure(value, 4)}, ${count(data.cells.n_ok[row][place])} samples`;
  }
  function drawHeat() {
    const places = orderedConcepts();
    heat.first = Math.max(0, Math.min(heat.first, Math.floor((places.length - 1) / ROWS) * ROWS));
    const shown = places.slice(heat.first, heat.first + ROWS);
    if (shown.join() !== heat.shown.join() || heat.drawn !== heat.column) {
      byId("heat").tBodies[0].replaceChildren(...shown.map(heatRow));
      Object.assign(heat, { shown, drawn: heat.column });
    }
    byId("heat-ends").textContent = data.heat.ends[heat.column].map((value) => figure(value)).join(" to ");
    byId("found-concepts").textContent = heat.wanted ? `${count(places.length)} of ${count(concepts.length)}` : "";
    byId("heat-pager").hidden = places.length <= ROWS;
    byId("heat-page").textContent = `${count(heat.first + 1)} to ${count(heat.first + shown.length)} of ${count(places.length)}`;
    byId("heat-back").disabled = heat.first === 0;
    byId("heat-on").disabled = heat.first + ROWS >= places.length;
  }
  function changeHeat(change) {
    Object.assign(heat, { first: 0 }, change);
    drawHeat();
    remember("cells", { score: heat.column, order: heat.order, find: heat.wanted, from: heat.first });
  }
  function showHeat(asked) {
    const column = columns.includes(asked.get("score")) ? asked.get("score") : heat.column;
    const order = ORDERS.includes(asked.get("order")) ? asked.get("order") : heat.order;
    Object.assign(heat, { column, order, wanted: asked.get("find") || "", first: Number(asked.get("from")) || 0 });
    byId("heat-column").value = heat.column;
    byId("heat-order").value = heat.order;
    byId("find-concept").value = heat.wanted;
    drawHeat();
    byId("heat").closest("section").scrollIntoView();
  }
  if (byId("heat")) {
    byId("heat-column").append(...columns.filter((column) => data.cells.means[column].some((row) => row.some((value) => value !== null))).map((column) => make("option", { value: column }, titleOf(column))));
    // As the page is written its table is of this column already.
    heat.column = heat.drawn = data.heat.column;
    byId("heat-column").value = heat.column;
    byId("heat-column").addEventListener("change", (event) => changeHeat({ column: event.target.value }));
    byId("heat-order").addEventListener("change", (event) => changeHeat({ order: event.target.value }));
    byId("find-concept").addEventListener("input", (event) => changeHeat({ wanted: event.target.value.trim() }));
    byId("heat-back").addEventListener("click", () => changeHeat({ first: Math.max(0, heat.first - ROWS) }));
    byId("heat-on").addEventListener("click", () => changeHeat({ first: heat.first + ROWS }));
    drawHeat();
  }

  // A point a concept, over the points of models.

  const SVG = "http://www.w3.org/2000/svg";
  function drawConcepts(row) {
    const group = byId("scatter-concepts");
    group.replaceChildren();
    byId("scatter-said").textContent = "";
    if (row === null) return;
    const at = ({ least, most, start, end }, value) => start + ((value - least) / (most - least)) * (end - start);
    const within = ({ start, end }, place) => place >= Math.min(start, end) && place <= Math.max(start, end);
    let n = 0, outside = 0;
    concepts.forEach((concept, place) => {
      const [cp, pf] = ["cp", "pf"].map((column) => data.cells.means[column][row][place]);
      if (cp === null || pf === null) return;
      const [x, y] = [at(data.scatter.x, cp), at(data.scatter.y, pf)];
      if (!within(data.scatter.x, x) || !within(data.scatter.y, y)) { outside += 1; return; }
      const spot = document.createElementNS(SVG, "circle");
      for (const [name, value] of Object.entries({ class: "spot", cx: x.toFixed(1), cy: y.toFixed(1), r: concepts.length > 300 ? 2 : 3.5 })) spot.setAttribute(name, value);
      spot.dataset.tip = `${named(concept)}: CP ${figure(cp)}, PF ${figure(pf)}`;
      group.append(spot);
      n += 1;
    });
    byId("scatter-said").textContent = `${count(n)} ${n === 1 ? "concept" : "concepts"}${outside ? `; ${count(outside)} lie outside of the drawing` : ""}`;
  }
  const choice = byId("scatter-model");
  if (choice) {
    choice.append(...data.models.map((model, row) => make("option", { value: String(row) }, named(model.model))));
    choice.addEventListener("change", () => {
      const row = choice.value === "" ? null : Number(choice.value);
      drawConcepts(row);
      remember("points", { concepts: row === null ? "" : data.models[row].model ?? "" });
    });
  }
  function showPoints(asked) {
    const row = data.models.findIndex((model) => (model.model ?? "") === asked.get("concepts"));
    choice.value = row < 0 ? "" : String(row);
    drawConcepts(row < 0 ? null : row);
    choice.closest("section").scrollIntoView();
  }

  // Views behind links: #model=NAME, #concept=NAME; #cells?score=NAME..., #points?concepts=MODEL.

  /** The address leads to what is shown now. */
  function remember(view, choices) {
    history.replaceState(null, "", `#${view}?${new URLSearchParams(choices)}`);
  }

  function overlapping(model, column) {
    const low = model[`${column}_ci_low`], high = model[`${column}_ci_high`];
    if (low === null) return null;
    return data.models.filter((other) => other !== model && other[`${column}_ci_low`] !== null && other[`${column}_ci_low`] <= high && other[`${column}_ci_high`] >= low);
  }
  function viewOfModel(row) {
    const model = data.models[row];
    const names = ["mean", "ci_low", "ci_high", "std", "min", "p05", "p50", "p95", "max"];
    const scores = data.columns.map((column) => [titleOf(column), count(model[`n_${column}`]), ...names.map((name) => figure(model[`${column}_${name}`], 4))]);
    const parts = [
      make("p", null, `${count(model.n)} samples: ${count(model.n_ok)} scored, ${count(model.n_skipped)} skipped, ${count(model.n_error)} errors.`),
      table(["score", "values", "mean", "95 % from", "to", "std", "min", "5 %", "median", "95 %", "max"], scores, "Scores"),
    ];
    for (const column of ["cp", "pf"]) {
      const others = overlapping(model, column);
      if (others === null) continue;
      const said = others.length ? `overlaps with that of ${others.slice(0, 12).map((other) => named(other.model)).join(", ")}${others.length > 12 ? ` and ${others.length - 12} more` : ""}` : "overlaps with no other";
      parts.push(make("p", null, `Its interval of ${titleOf(column)} ${said}.`));
    }
    const own = concepts.map((_, place) => place).filter((place) => data.cells.n_ok[row][place]);
    const first = columns.find((column) => data.cells.means[column][row].some((value) => value !== null)) || "cp";
    const value = (place) => data.cells.means[first][row][place];
    own.sort((a, b) => (value(a) === null) - (value(b) === null) || value(a) - value(b));
    const line = (place) => [make("a", { href: linkTo("concept", concepts[place]) }, isolated(concepts[place])), count(data.cells.n_ok[row][place]), ...columns.map((column) => figure(data.cells.means[column][row][place], 4))];
    parts.push(make("h3", null, `Its concepts, the lowest ${titleOf(first)} first`), ...longTable(["concept", "samples", ...columns.map(titleOf)], own, line, "Concepts"));
    return parts;
  }
  function viewOfConcept(place) {
    const over = columns.map((column) => `${titleOf(column)} ${figure(meanOf(column)[place])}`).join(", ");
    const rows = data.models.map((_, row) => row).filter((row) => data.cells.n_ok[row][place]);
    const line = (row) => [make("a", { href: linkTo("model", data.models[row].model) }, isolated(data.models[row].model)), count(data.cells.n_ok[row][place]), ...columns.map((column) => figure(data.cells.means[column][row][place], 4))];
    const parts = [make("p", null, `${count(data.concepts.n[place])} samples of all models: ${over}; ${count(data.concepts.n_skipped[place])} skipped, ${count(data.concepts.n_error[place])} errors.`)];
    parts.push(...longTable(["model", "samples", ...columns.map(titleOf)], rows, line, "Models"));
    const changed = changesOf(concepts[place]);
    if (changed.length) parts.push(make("h3", null, "Against the baseline"), table(["comparison", "score", "change", "p, adjusted"], changed, "Changes"));
    return parts;
  }
  function changesOf(concept) {
    if (!data.comparison) return [];
    const all = data.comparison.comparisons || [data.comparison];
    return all.flatMap((each) => {
      const found = each.concepts.find((row) => row.concept === concept);
      if (!found) return [];
      return Object.entries(found).filter(([, value]) => value && value.delta !== undefined && value.delta !== null)
        .map(([column, value]) => [isolated(`${each.candidate} against ${each.baseline}`), titleOf(column), (value.delta < 0 ? "" : "+") + figure(value.delta, 4), figure(value.p_adjusted, 4)]);
    });
  }
  /** A table of the first lines, and a button for all. */
  function longTable(headers, items, line, label) {
    const whole = table(headers, items.slice(0, FIRST_ROWS).map(line), label);
    if (items.length <= FIRST_ROWS) return [whole];
    const button = make("button", { type: "button", class: "quiet" }, `Show all ${count(items.length)}`);
    button.addEventListener("click", () => {
      whole.replaceWith(table(headers, items.map(line), label));
      button.remove();
    });
    return [whole, button];
  }

  const VIEWS = {
    model: { names: data.models.map((model) => model.model), view: viewOfModel },
    concept: { names: concepts, view: viewOfConcept },
  };
  function follow() {
    const detail = byId("detail");
    const chosen = /^#(cells|points)\?(.*)$/s.exec(location.hash);
    if (chosen && byId("heat")) ({ cells: showHeat, points: showPoints })[chosen[1]](new URLSearchParams(chosen[2]));
    const match = /^#(model|concept)=(.*)$/s.exec(location.hash);
    detail.hidden = !match;
    if (!match) return;
    let wanted = match[2];
    try { wanted = decodeURIComponent(wanted); } catch { /* It is looked for as it stands. */ }
    const { names, view } = VIEWS[match[1]];
    let place = names.indexOf(wanted);
    if (place < 0 && wanted === "") place = names.indexOf(null);
    byId("detail-title").replaceChildren(`${match[1] === "model" ? "Model" : "Concept"} `, isolated(wanted === "" ? null : wanted));
    const nothing = [make("p", null, `The page has no such ${match[1]}.`)];
    byId("detail-body").replaceChildren(...(place < 0 ? nothing : view(place)));
    detail.scrollIntoView();
    detail.focus({ preventScroll: true });
  }
  addEventListener("hashchange", follow);
  follow();
  document.documentElement.dataset.ready = "true";
  performance.mark("ready");
})();
