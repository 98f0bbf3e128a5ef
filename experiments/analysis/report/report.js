"use strict";
// Sorts and filters tables, and shows one client. Texts from data are only ever set as text.
(() => {
  const SVG = "http://www.w3.org/2000/svg";
  const byId = (id) => document.getElementById(id);

  /** Makes an element of HTML. */
  function element(name, text = "", attributes = {}) {
    const made = document.createElement(name);
    made.textContent = text;
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  }

  /** Makes an element of SVG inside another one. Colours are variables, which only styles take. */
  function drawn(parent, name, { fill, stroke, ...attributes }, text = "") {
    const made = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (fill) made.style.fill = fill;
    if (stroke) made.style.stroke = stroke;
    if (text) made.textContent = text;
    return parent.appendChild(made);
  }

  // ---------------------------------------------------------------- tables

  /** Returns what a cell sorts by: its number, else its text; null if it has none. */
  function keyOf(row, column, numeric) {
    const cell = row.cells[column];
    if (!numeric) return cell.textContent;
    return cell.dataset.value === undefined ? null : Number(cell.dataset.value);
  }

  /** Compares two keys; what is missing comes last in any direction. */
  function compare(one, other, sign) {
    const missing = (key) => key === null || Number.isNaN(key);
    if (missing(one) || missing(other)) return Number(missing(one)) - Number(missing(other));
    if (typeof one === "number") return sign * (one - other);
    return sign * one.localeCompare(other, "en", { numeric: true });
  }

  /** Puts a button into every header of a table, which sorts its lines. */
  function makeSortable(table) {
    const body = table.tBodies[0];
    const asItWas = [...body.rows];
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      const button = element("button", head.textContent, { type: "button" });
      head.replaceChildren(button);
      head.setAttribute("aria-sort", "none");
      button.addEventListener("click", () => {
        const next = { none: "ascending", ascending: "descending", descending: "none" };
        const order = next[head.getAttribute("aria-sort")];
        for (const other of heads) other.setAttribute("aria-sort", "none");
        head.setAttribute("aria-sort", order);
        const numeric = asItWas.some((row) => row.cells[column].dataset.value !== undefined);
        const sign = order === "ascending" ? 1 : -1;
        const key = new Map(asItWas.map((row) => [row, keyOf(row, column, numeric)]));
        const sorted = [...asItWas];
        if (order !== "none") sorted.sort((a, b) => compare(key.get(a), key.get(b), sign));
        body.append(...sorted);
      });
    });
  }

  /** Shows only the lines of tables that have all words of the filter, and counts them. */
  function filterTables(tables, words) {
    let shown = 0;
    let total = 0;
    for (const table of tables) {
      let own = 0;
      for (const row of table.tBodies[0].rows) {
        const text = row.textContent.toLowerCase();
        row.hidden = !words.every((word) => text.includes(word));
        own += row.hidden ? 0 : 1;
        total += 1;
      }
      shown += own;
      table.parentElement.classList.toggle("no-match", own === 0);
    }
    byId("filter-count").value = `${count(shown)} of ${count(total)} lines shown`;
  }

  // ---------------------------------------------------------------- numbers

  const count = (value) => value.toLocaleString("en");
  const percent = (value) => (value === null ? "n/a" : (value / 100).toFixed(2));
  const signed = (value) => {
    const text = (Math.abs(value) / 100).toFixed(2);
    if (value === 0) return "0.00";
    return (value < 0 ? "\u2212" : "+") + text;
  };
  const ranged = (mean, half) =>
    mean === null || half === null ? percent(mean) : `${percent(mean)} ± ${percent(half)}`;

  /** Returns about five round numbers between two. */
  function ticks(low, high) {
    const rough = (high - low) / 4;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((own) => own * power).find((own) => own >= rough);
    const found = [];
    for (let at = Math.ceil(low / step - 1e-9) * step; at <= high + step * 1e-9; at += step) {
      found.push(Number(at.toPrecision(10)));
    }
    return found;
  }

  // ---------------------------------------------------------------- marks

  /** Draws the mark of an arm: shapes are as in the pictures. */
  function mark(parent, shape, x, y, r, colour) {
    const points = {
      s: [[-1, -1], [1, -1], [1, 1], [-1, 1]],
      "^": [[0, -1.2], [1.1, 1], [-1.1, 1]],
      v: [[0, 1.2], [1.1, -1], [-1.1, -1]],
      "<": [[-1.2, 0], [1, -1.1], [1, 1.1]],
      ">": [[1.2, 0], [-1, -1.1], [-1, 1.1]],
      D: [[0, -1.3], [1.3, 0], [0, 1.3], [-1.3, 0]],
      P: [[-0.4, -1.2], [0.4, -1.2], [0.4, -0.4], [1.2, -0.4], [1.2, 0.4], [0.4, 0.4],
        [0.4, 1.2], [-0.4, 1.2], [-0.4, 0.4], [-1.2, 0.4], [-1.2, -0.4], [-0.4, -0.4]],
      X: [[-1.2, -0.7], [-0.7, -1.2], [0, -0.5], [0.7, -1.2], [1.2, -0.7], [0.5, 0],
        [1.2, 0.7], [0.7, 1.2], [0, 0.5], [-0.7, 1.2], [-1.2, 0.7], [-0.5, 0]],
    }[shape];
    if (!points) return drawn(parent, "circle", { cx: x, cy: y, r, fill: colour });
    const at = points.map(([a, b]) => `${(x + a * r).toFixed(1)},${(y + b * r).toFixed(1)}`);
    return drawn(parent, "polygon", { points: at.join(" "), fill: colour });
  }

  const INK = "var(--c-444444, #444444)";
  const AXIS = "var(--c-777777, #777777)";
  const GRID = "var(--c-e6e6e6, #e6e6e6)";
  const LANE = "var(--c-cccccc, #cccccc)";
  const PAPER = "var(--c-ffffff, #ffffff)";
  // Curves that have shaded bands; more have bars, as bands would hide each other.
  const MOST_BANDS = 4;
  const DASHES = { "-": "none", "--": "7 4", "-.": "8 3 2 3", ":": "2 3" };

  // ---------------------------------------------------------------- one client

  const data = JSON.parse(byId("clients-data").textContent);
  const { names, arms, rounds, looks } = data;

  /** Returns a number of an arm and a client at a place of the rounds. */
  const valueAt = (table, arm, client, place) => data[table][arm][client * rounds.length + place];
  const widthOf = (arm, client) => data.width[arm].slice(3 * client, 3 * client + 3);

  /** Writes the width of a client: the mean, and the range if it has one. */
  function widthText(arm, client) {
    const [mean, low, high] = widthOf(arm, client);
    if (mean === null) return "n/a";
    const text = (mean / 1000).toFixed(3);
    return low === high ? text : `${text} [${(low / 1000).toFixed(3)}, ${(high / 1000).toFixed(3)}]`;
  }

  /** Writes the difference of an arm to the reference, if they match. */
  function gainText(arm, client) {
    if (arm === data.reference) return "reference";
    const [mean, half] = data.gain[arm].slice(2 * client, 2 * client + 2);
    if (mean === null) return "not compared";
    return half === null ? signed(mean) : `${signed(mean)} ± ${percent(half)}`;
  }

  /** Returns the place of a client among all, the best one first; all need not be in this page. */
  function rankOf(arm, client) {
    const own = data.rank[arm][client];
    return own === null ? "n/a" : `${count(own)} of ${count(data.ranked[arm])}`;
  }

  function fillTable(table, headers, lines) {
    const head = element("tr");
    head.append(...headers.map((text) => element("th", text, { scope: "col" })));
    table.tHead.replaceChildren(head);
    const body = lines.map(([first, ...others]) => {
      const row = element("tr");
      row.append(element("th", first, { scope: "row" }));
      row.append(...others.map((text) => element("td", text)));
      return row;
    });
    table.tBodies[0].replaceChildren(...body);
  }

  function showArms(client) {
    const last = rounds.length - 1;
    const several = data.chosen !== last;
    const at = `round ${rounds[data.chosen]}`;
    const scored = data.score.some((own) => own[client] !== null);
    const headers = ["Arm", "Width", `Accuracy % at ${at}`];
    if (scored) headers.splice(1, 0, "Score");
    if (arms.length > 1) headers.push(`Less ${arms[data.reference]}, points`);
    headers.push(`Rank at ${at}`);
    if (several) headers.push(`Accuracy % at round ${rounds[last]}`);
    const lines = arms.map((name, arm) => {
      const cells = [name];
      if (scored) cells.push(data.score[arm][client] ?? "none");
      cells.push(widthText(arm, client));
      const half = valueAt("half", arm, client, data.chosen);
      cells.push(ranged(valueAt("accuracy", arm, client, data.chosen), half));
      if (arms.length > 1) cells.push(gainText(arm, client));
      cells.push(rankOf(arm, client));
      if (several) {
        const end = [valueAt("accuracy", arm, client, last), valueAt("half", arm, client, last)];
        cells.push(ranged(...end));
      }
      return cells;
    });
    fillTable(byId("client-arms"), headers, lines);
  }

  function showNumbers(client) {
    const headers = ["Round", ...arms.map((name) => `${name} %`)];
    const lines = rounds.map((round, place) => [
      String(round),
      ...arms.map((_, arm) =>
        ranged(valueAt("accuracy", arm, client, place), valueAt("half", arm, client, place))),
    ]);
    fillTable(byId("client-numbers"), headers, lines);
  }

  /** Draws the axes of a picture; returns where a value is. */
  function axes(svg, frame, across, up) {
    const { left, right, top, bottom } = frame;
    const x = (v) => left + ((v - across.low) / (across.high - across.low || 1)) * (right - left);
    const y = (v) => bottom - ((v - up.low) / (up.high - up.low || 1)) * (bottom - top);
    for (const tick of up.ticks) {
      drawn(svg, "line", { x1: left, x2: right, y1: y(tick), y2: y(tick), stroke: GRID });
      const place = { x: left - 7, y: y(tick) + 4, "text-anchor": "end" };
      drawn(svg, "text", place, String(tick));
    }
    for (const { at, text } of across.ticks) {
      drawn(svg, "text", { x: x(at), y: bottom + 18, "text-anchor": "middle" }, text);
    }
    drawn(svg, "line", { x1: left, x2: right, y1: bottom, y2: bottom, stroke: AXIS });
    return { x, y };
  }

  /** Returns how wide a picture is drawn, so that its letters are not scaled. */
  const room = (place) => Math.max(260, Math.min(560, place.clientWidth || 460));

  /** Makes an empty picture that says what it is. */
  function canvas(place, width, height, label) {
    const svg = document.createElementNS(SVG, "svg");
    const attributes = { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label };
    for (const [key, value] of Object.entries(attributes)) svg.setAttribute(key, value);
    svg.setAttribute("font-family", "system-ui, sans-serif");
    svg.setAttribute("font-size", "12");
    svg.style.fill = INK;
    svg.setAttribute("focusable", "false");
    place.replaceChildren(svg);
    return svg;
  }

  /** Returns the ends of an axis of percents around some values, within 0 and 100. */
  function spread(values) {
    const known = values.filter((value) => value !== null).map((value) => value / 100);
    if (!known.length) return { low: 0, high: 100, ticks: ticks(0, 100) };
    const [least, most] = [Math.min(...known), Math.max(...known)];
    const free = Math.max((most - least) * 0.06, 0.5);
    const [low, high] = [Math.max(0, least - free), Math.min(100, most + free)];
    return { low, high, ticks: ticks(low, high) };
  }

  function drawCurves(client) {
    const label = `Test accuracy of ${names[client]} over rounds; the numbers are below`;
    const width = room(byId("client-curves"));
    const svg = canvas(byId("client-curves"), width, 270, label);
    const ends = arms.flatMap((_, arm) => rounds.flatMap((_, place) => {
      const mean = valueAt("accuracy", arm, client, place);
      const half = valueAt("half", arm, client, place) ?? 0;
      return mean === null ? [] : [Math.max(0, mean - half), Math.min(10000, mean + half)];
    }));
    const up = spread(ends);
    const places = rounds.length > 8
      ? ticks(rounds[0], rounds.at(-1)).filter(Number.isInteger) : rounds;
    const across = {
      low: rounds[0],
      high: rounds.at(-1),
      ticks: places.map((round) => ({ at: round, text: String(round) })),
    };
    if (rounds.length === 1) Object.assign(across, { low: rounds[0] - 1, high: rounds[0] + 1 });
    const frame = { left: 44, right: width - 12, top: 10, bottom: 226 };
    const { x, y } = axes(svg, frame, across, up);
    drawn(svg, "text", { x: (width + 32) / 2, y: 262, "text-anchor": "middle" }, "round");
    const limit = (value) => Math.min(100, Math.max(0, value));
    arms.forEach((name, arm) => {
      const { colour, marker, line } = looks[arm];
      const points = rounds.map((round, place) => ({
        round,
        mean: valueAt("accuracy", arm, client, place),
        half: valueAt("half", arm, client, place),
      })).filter(({ mean }) => mean !== null);
      const above = points.map(({ round, mean, half }) =>
        `${x(round).toFixed(1)},${y(limit((mean + (half ?? 0)) / 100)).toFixed(1)}`);
      const below = points.map(({ round, mean, half }) =>
        `${x(round).toFixed(1)},${y(limit((mean - (half ?? 0)) / 100)).toFixed(1)}`);
      if (arms.length <= MOST_BANDS) {
        const band = { points: [...above, ...below.reverse()].join(" "), fill: colour };
        drawn(svg, "polygon", { ...band, "fill-opacity": 0.12 });
      } else {
        above.forEach((end, place) => {
          const points = `${end} ${below[place]}`;
          drawn(svg, "polyline", { points, stroke: colour, "stroke-opacity": 0.6 });
        });
      }
      const path = points.map(({ round, mean }) =>
        `${x(round).toFixed(1)},${y(mean / 100).toFixed(1)}`);
      const stroke = { stroke: colour, "stroke-width": 2, "stroke-dasharray": DASHES[line] };
      drawn(svg, "polyline", { points: path.join(" "), fill: "none", ...stroke });
      for (const { round, mean, half } of points) {
        const shape = mark(svg, marker, x(round), y(mean / 100), 3.5, colour);
        drawn(shape, "title", {}, `${name}, round ${round}: ${ranged(mean, half)} %`);
      }
    });
  }

  /** Draws every client of every arm, in a fixed pattern across the arm's line. */
  function drawStrip(client) {
    const label = `Accuracy of all clients by arm at round ${rounds[data.chosen]}`;
    const width = room(byId("client-strip"));
    const [left, right, bottom] = [12, width - 12, Math.max(226, 10 + 30 * arms.length)];
    const svg = canvas(byId("client-strip"), width, bottom + 44, label);
    const at = (arm, other) => valueAt("accuracy", arm, other, data.chosen);
    const every = names.map((_, other) => other);
    const along = spread(arms.flatMap((_, arm) => every.map((other) => at(arm, other))));
    const x = (value) => left + ((value - along.low) / (along.high - along.low)) * (right - left);
    for (const tick of along.ticks) {
      drawn(svg, "line", { x1: x(tick), x2: x(tick), y1: 10, y2: bottom, stroke: GRID });
      drawn(svg, "text", { x: x(tick), y: bottom + 18, "text-anchor": "middle" }, String(tick));
    }
    drawn(svg, "text", { x: width / 2, y: bottom + 36, "text-anchor": "middle" }, "test accuracy (%)");
    const band = (bottom - 10) / arms.length;
    const size = names.length > 100 ? 2 : 3;
    arms.forEach((name, arm) => {
      const { colour, marker } = looks[arm];
      const middle = 10 + band * (arm + 0.5);
      drawn(svg, "line", { x1: left, x2: right, y1: middle, y2: middle, stroke: LANE });
      for (const other of every) {
        const value = at(arm, other);
        if (value === null) continue;
        // The golden ratio spreads neighbours evenly; the same client is at the same height.
        const drop = (((other * 0.618034) % 1) - 0.5) * band * 0.5 + 4;
        const chosen = other === client;
        const shape = mark(svg, marker, x(value / 100), middle + drop, chosen ? 7 : size, colour);
        shape.setAttribute("fill-opacity", chosen ? 1 : 0.45);
        if (chosen) shape.style.stroke = PAPER;
        shape.style.cursor = "pointer";
        shape.addEventListener("click", () => choose(other));
        drawn(shape, "title", {}, `${names[other]}, ${name}: ${percent(value)} %`);
        if (chosen) svg.append(shape);
      }
      const short = name.length > 28 ? `${name.slice(0, 27)}…` : name;
      const place = { x: left, y: middle - band / 2 + 12, "font-size": 11 };
      drawn(svg, "text", { ...place, "paint-order": "stroke", stroke: "var(--chart-back)" }, short);
    });
  }

  function drawLegend() {
    const items = arms.map((name, arm) => {
      const { colour, marker, line } = looks[arm];
      const item = element("li");
      const sample = element("span", "", { class: "plot own", "aria-hidden": "true" });
      const svg = canvas(sample, 40, 12, "");
      const stroke = { stroke: colour, "stroke-width": 2, "stroke-dasharray": DASHES[line] };
      drawn(svg, "line", { x1: 0, x2: 40, y1: 6, y2: 6, ...stroke });
      mark(svg, marker, 20, 6, 4, colour);
      item.append(sample, element("bdi", name));
      return item;
    });
    byId("client-legend").replaceChildren(...items);
  }

  let current = 0;

  function show(client) {
    current = client;
    byId("client-name").replaceChildren(element("bdi", names[client]));
    const facts = [
      ["Test examples", data.examples.test[client]],
      ["Validation examples", data.examples.validation[client]],
    ].filter(([, number]) => number !== null);
    byId("client-facts").replaceChildren(...facts.map(([name, number]) => {
      const pair = element("div");
      pair.append(element("dt", name), element("dd", count(number)));
      return pair;
    }));
    showArms(client);
    showNumbers(client);
    drawCurves(client);
    drawStrip(client);
  }

  // ---------------------------------------------------------------- choosing a client

  /** Returns the clients that match, in the chosen order. */
  function matching() {
    const text = byId("client-find").value.trim().toLowerCase();
    const found = names.map((_, client) => client)
      .filter((client) => names[client].toLowerCase().includes(text));
    const order = byId("client-order").value;
    if (order === "recorded") return found;
    if (order === "name") {
      return found.sort((a, b) => names[a].localeCompare(names[b], "en", { numeric: true }));
    }
    const keys = {
      accuracy: (client) => valueAt("accuracy", data.reference, client, data.chosen),
      examples: (client) => data.examples.test[client],
      gain: (client) => {
        const known = data.gain.map((own) => own[2 * client]).filter((gain) => gain !== null);
        return known.length ? Math.min(...known) : null;
      },
    };
    const key = keys[order];
    return found.sort((a, b) => compare(key(a), key(b), 1));
  }

  /** Fills the list of clients, and keeps the chosen one if it is still there. */
  function fillClients() {
    const list = byId("client");
    const before = list.value;
    const found = matching();
    const options = found.map((client) => {
      const name = names[client].length > 80 ? `${names[client].slice(0, 79)}…` : names[client];
      return element("option", name, { value: client });
    });
    list.replaceChildren(...options);
    const shown = `${count(found.length)} of ${count(names.length)} clients`;
    byId("client-count").value = found.length ? shown : `${shown}: none has this in its name`;
    if (found.map(String).includes(before)) list.value = before;
    step(0);
    if (found.length && list.value !== before) show(Number(list.value));
  }

  /** Moves through the list of clients. */
  function step(by) {
    const list = byId("client");
    const place = list.selectedIndex + by;
    if (by) {
      list.selectedIndex = place;
      show(Number(list.value));
    }
    byId("client-previous").disabled = place <= 0;
    byId("client-next").disabled = place >= list.options.length - 1;
  }

  /** Shows a client that need not be in the list. */
  function choose(client) {
    if (![...byId("client").options].some((option) => option.value === String(client))) {
      byId("client-find").value = "";
      fillClients();
    }
    byId("client").value = String(client);
    show(client);
    step(0);
  }

  // ---------------------------------------------------------------- start

  const tables = [...document.querySelectorAll("main table")]
    .filter((table) => !table.closest("#drill"));
  tables.forEach(makeSortable);
  const filter = byId("filter");
  const apply = () =>
    filterTables(tables, filter.value.toLowerCase().split(/\s+/).filter(Boolean));
  filter.addEventListener("input", apply);
  apply();

  if (names.length) {
    byId("drill").hidden = false;
    byId("client-round").textContent = String(rounds[data.chosen]);
    drawLegend();
    fillClients();
    byId("client").addEventListener("change", () => {
      show(Number(byId("client").value));
      step(0);
    });
    byId("client-find").addEventListener("input", fillClients);
    byId("client-order").addEventListener("change", fillClients);
    byId("client-previous").addEventListener("click", () => step(-1));
    byId("client-next").addEventListener("click", () => step(1));
    window.addEventListener("resize", () => {
      drawCurves(current);
      drawStrip(current);
    });
  }
})();
