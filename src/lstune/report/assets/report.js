"use strict";
(function () {
  const { figures, pool, table } = JSON.parse(document.getElementById("data").textContent);
  const root = document.documentElement;
  const system = window.matchMedia("(prefers-color-scheme: dark)");
  let chosen = null;
  try { chosen = localStorage.getItem("lstune-theme"); } catch { /* a page opened from disk may have no storage */ }

  // ---- theme ----
  const button = document.getElementById("theme");
  const isDark = () => (chosen ? chosen === "dark" : system.matches);
  function setTheme() {
    root.dataset.theme = isDark() ? "dark" : "light";
    button.textContent = isDark() ? "Light" : "Dark";
  }
  function color(name, opacity) {
    const hex = getComputedStyle(root).getPropertyValue("--" + name).trim();
    if (opacity === undefined) return hex;
    const part = (at) => parseInt(hex.slice(at, at + 2), 16);
    return `rgba(${part(1)},${part(3)},${part(5)},${opacity})`;
  }
  function scale(reversed) {
    const ends = root.dataset.theme === "dark" ? ["#33506f", "#6ba8ea", "#d8e8fb"] : ["#c3d7ee", "#5d95d0", "#173f6e"];
    if (reversed) ends.reverse();
    return ends.map((end, at) => [at / 2, end]);
  }

  // ---- figures: "$name/opacity" is a colour, "@3" the list number 3 of the pool ----
  function resolve(value) {
    if (Array.isArray(value)) return value.map(resolve);
    if (value && typeof value === "object") {
      const out = {};
      for (const key of Object.keys(value)) out[key] = resolve(value[key]);
      return out;
    }
    if (typeof value !== "string") return value;
    if (value[0] === "@" && pool[value.slice(1)]) return pool[value.slice(1)];
    if (value === "$scale" || value === "$scale_reversed") return scale(value !== "$scale");
    if (value[0] === "$") return color(...value.slice(1).split("/"));
    return value;
  }
  function themed(layout, place) {
    const narrow = place.clientWidth < 480;
    const small = place.classList.contains("small");
    const rule = color("rule");
    const out = Object.assign({}, layout);
    const axis = { gridcolor: rule, linecolor: rule, zerolinecolor: rule, zeroline: false, automargin: true };
    for (const name of ["xaxis", "yaxis"]) {
      const given = out[name] || {};
      const title = given.title && given.title.text ? { text: given.title.text, standoff: 8 } : undefined;
      out[name] = Object.assign({}, axis, given, { title });
    }
    out.xaxis.nticks = out.xaxis.nticks || (narrow || small ? 5 : undefined);
    out.font = { color: color("ink"), size: narrow || small ? 11 : 12, family: getComputedStyle(document.body).fontFamily };
    out.paper_bgcolor = "rgba(0,0,0,0)";
    out.plot_bgcolor = "rgba(0,0,0,0)";
    out.hoverlabel = { bgcolor: color("panel"), bordercolor: rule, font: { color: color("ink") } };
    out.legend = { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", font: { size: 11 } };
    out.margin = { l: narrow ? 44 : 56, r: 12, t: out.annotations && out.annotations.length ? 26 : 10, b: 36 };
    if (out.annotations) out.annotations = out.annotations.map((note) => Object.assign({ font: { size: 11, color: color("soft") } }, note));
    return out;
  }
  function webgl() {
    try { return Boolean(document.createElement("canvas").getContext("webgl")); } catch { return false; }
  }
  const hasWebgl = webgl();
  const touch = window.matchMedia("(pointer: coarse)").matches;
  function draw(name) {
    const place = document.getElementById("plot-" + name);
    const figure = resolve(figures[name]);
    const parallel = figure.data[0].type === "parcoords";
    if (parallel && !hasWebgl) {
      place.classList.remove("plot");
      place.classList.add("nodraw");
      place.textContent = "This plot needs WebGL, which this browser has switched off.";
      return;
    }
    const layout = themed(figure.layout, place);
    if (parallel) {
      layout.margin = { l: 110, r: 60, t: 70, b: 24 };
      figure.data[0].tickfont = figure.data[0].rangefont = { size: 10, color: color("soft") };
      figure.data[0].labelfont = { size: 12, color: color("ink") };
      figure.data[0].rangefont = { size: 1, color: "rgba(0,0,0,0)" };
      figure.data[0].unselected = { line: { color: color("muted"), opacity: 0.08 } };
    }
    // On a touch screen a drag across a plot scrolls the page.
    if (touch) layout.dragmode = false;
    // By itself a plot that is drawn again keeps its width, on paper too.
    layout.width = place.clientWidth;
    Plotly.react(place, figure.data, layout, { responsive: true, displayModeBar: false });
    place.dataset.drawn = "yes";
  }
  function drawAll() {
    const names = Object.keys(figures);
    let at = 0;
    document.body.dataset.drawing = "yes";
    (function next() {
      if (at < names.length) {
        draw(names[at++]);
        requestAnimationFrame(next);
      } else {
        delete document.body.dataset.drawing;
        document.body.dataset.drawn = String(names.length);
      }
    })();
  }

  // ---- trials table ----
  function tabulate() {
  const body = document.querySelector("#trials tbody");
  const heads = Array.from(document.querySelectorAll("#trials th"));
  const count = document.getElementById("shown");
  const filter = document.getElementById("filter");
  let order = { column: table.sort, down: false };
  const TEST = /^([\w.]+)\s*(<=|>=|<|>|=)\s*(.+)$/;
  function test(words) {
    const tests = words.map((word) => {
      const parts = TEST.exec(word);
      const at = parts ? table.columns.indexOf(parts[1]) : -1;
      if (at < 0) return (row) => row.some((cell) => cell !== null && String(cell).toLowerCase().includes(word.toLowerCase()));
      const wanted = parts[3];
      const number = Number(wanted);
      return (row) => {
        const cell = row[at];
        if (cell === null) return false;
        if (parts[2] === "=") return String(cell) === wanted || (typeof cell === "number" && cell === number);
        if (typeof cell !== "number" || Number.isNaN(number)) return false;
        return { "<": cell < number, ">": cell > number, "<=": cell <= number, ">=": cell >= number }[parts[2]];
      };
    });
    return (row) => tests.every((check) => check(row));
  }
  function compare(a, b) {
    if (a === null || b === null) return (a === null) - (b === null);
    if (typeof a === "number" && typeof b === "number") return order.down ? b - a : a - b;
    const sign = order.down ? -1 : 1;
    return sign * String(a).localeCompare(String(b), "en", { numeric: true });
  }
  function shownNumber(cell) {
    if (Number.isInteger(cell)) return String(cell);
    return Math.abs(cell) >= 1e-4 && Math.abs(cell) < 1e9 ? String(Number(cell.toPrecision(5))) : cell.toExponential(2);
  }
  function fill() {
    const words = filter.value.trim().replace(/\s*(<=|>=|<|>|=)\s*/g, "$1").split(/\s+/).filter(Boolean);
    const keep = table.rows.filter(test(words));
    keep.sort((x, y) => compare(x[order.column], y[order.column]) || x[0] - y[0]);
    const rows = document.createDocumentFragment();
    for (const cells of keep) {
      const line = document.createElement("tr");
      if (cells[0] === table.best) line.className = "best";
      cells.forEach((cell, at) => {
        const box = document.createElement("td");
        if (typeof cell === "string" && at > 0) box.className = "text";
        box.textContent = cell === null ? "" : typeof cell === "number" ? shownNumber(cell) : cell;
        line.append(box);
      });
      rows.append(line);
    }
    body.replaceChildren(rows);
    heads.forEach((head, at) => head.setAttribute("aria-sort", at === order.column ? (order.down ? "descending" : "ascending") : "none"));
    const all = table.rows.length;
    count.textContent = (keep.length === all ? "" : `${keep.length} of `) + (all === 1 ? "1 trial" : `${all} trials`);
  }
  heads.forEach((head, at) => {
    if (at > 0 && table.rows.some((row) => typeof row[at] === "string")) head.className = "text";
  });
  heads.forEach((head, at) => head.addEventListener("click", () => {
    order = { column: at, down: order.column === at && !order.down };
    fill();
  }));
  filter.addEventListener("input", fill);
  fill();
  }

  // ---- the rest ----
  document.querySelectorAll("[data-view]").forEach((view) => view.addEventListener("click", () => {
    const place = document.getElementById("plot-forecast");
    const latest = view.dataset.view === "latest";
    const { xaxis, yaxis } = figures.forecast.layout;
    Plotly.relayout(place, latest
      ? { "xaxis.range": xaxis.range.slice(), "yaxis.range": yaxis.range.slice() }
      : { "xaxis.autorange": true, "yaxis.autorange": true });
    document.querySelectorAll("[data-view]").forEach((other) => other.setAttribute("aria-pressed", String(other === view)));
  }));
  document.querySelectorAll("[data-copy]").forEach((copier) => copier.addEventListener("click", async () => {
    const text = document.getElementById(copier.dataset.copy).textContent;
    try {
      await navigator.clipboard.writeText(text);
      copier.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(document.getElementById(copier.dataset.copy));
      copier.textContent = "Selected";
    }
    setTimeout(() => { copier.textContent = "Copy"; }, 1500);
  }));
  button.addEventListener("click", () => {
    chosen = isDark() ? "light" : "dark";
    try { localStorage.setItem("lstune-theme", chosen); } catch { /* as above */ }
    setTheme();
    drawAll();
  });
  // Paper is light and narrower than most windows: a plot drawn for one would be cut.
  window.addEventListener("beforeprint", () => {
    root.dataset.theme = "light";
    document.body.classList.add("paper");
    Object.keys(figures).forEach(draw);
  });
  window.addEventListener("afterprint", () => {
    document.body.classList.remove("paper");
    setTheme();
    drawAll();
  });
  system.addEventListener("change", () => { if (!chosen) { setTheme(); drawAll(); } });
  setTheme();
  if (table) tabulate();
  drawAll();
})();
