/* Paints the figures in the page's theme, keeps the policies' visibility the same in all of them. */
(function () {
  "use strict";
  const report = JSON.parse(document.getElementById("report-data").textContent);
  const root = document.documentElement;
  const DASHES = ["solid", "dash", "dot", "dashdot"];
  const SYMBOLS = ["circle", "square", "diamond", "triangle-up", "pentagon", "hexagon", "star", "cross"];
  const COLOURS = 8;
  const MINUTE = 60, HOUR = 3600, DAY = 86400;
  const DURATIONS = [
    [1, "≤ 1 s"], [2, "2 s"], [5, "5 s"], [10, "10 s"], [20, "20 s"], [30, "30 s"],
    ...[1, 2, 5, 10, 20, 30].map((v) => [v * MINUTE, v + " min"]),
    ...[1, 2, 3, 6, 12].map((v) => [v * HOUR, v + " h"]),
    ...[1, 2, 4, 7, 14, 30, 60, 120, 365, 730, 1460, 3650].map((v) => [v * DAY, v + " d"]),
  ];
  const hidden = new Set();
  const drawn = []; // {box, plot, variant, width}

  const css = (name) => getComputedStyle(root).getPropertyValue(name).trim();
  const policyColour = (i) => css("--p" + (i % COLOURS));

  function humanise(seconds) {
    if (seconds <= 1) return "≤ 1 s";
    for (const [limit, unit, name] of [[120, 1, "s"], [7200, MINUTE, "min"], [2 * DAY, HOUR, "h"]]) {
      if (seconds < limit) {
        const value = seconds / unit;
        return (value >= 100 || Number.isInteger(value) ? value.toFixed(0) : value.toFixed(1)) + " " + name;
      }
    }
    return (seconds / DAY).toFixed(1) + " d";
  }

  /* Ticks of a logarithmic time axis: round durations, never closer than a label needs. */
  function durationTicks(range, width) {
    const [low, high] = range;
    const gap = ((high - low) * 62) / Math.max(width, 80);
    const rank = (s) => (s === 1 || s === MINUTE || s === HOUR || s === DAY ? 0 : s === 10 || s === 10 * MINUTE || s === 7 * DAY || s === 30 * DAY || s === 365 * DAY || s === 6 * HOUR ? 1 : 2);
    const kept = [];
    for (const level of [0, 1, 2]) {
      for (const [seconds, label] of DURATIONS) {
        const at = Math.log10(seconds);
        if (rank(seconds) !== level || at < low - 1e-9 || at > high) continue;
        if (kept.every((k) => Math.abs(k.at - at) >= gap)) kept.push({ at, seconds, label });
      }
    }
    kept.sort((a, b) => a.at - b.at);
    return { tickvals: kept.map((k) => k.seconds), ticktext: kept.map((k) => k.label) };
  }

  function paintTrace(trace) {
    const { policy, role, colour: own } = trace.meta;
    if (role === "heat") {
      trace.colorscale = [0, 1, 2, 3, 4].map((i) => [i / 4, css("--h" + i)]);
      trace.colorbar = { thickness: 10, len: 1, outlinewidth: 0, ticksuffix: " %", nticks: 3, tickfont: { color: css("--soft") }, x: 1.005, xpad: 6 };
      return trace;
    }
    const colour = policyColour(own === undefined ? policy : own);
    trace.visible = !hidden.has(policy);
    const dash = DASHES[own === undefined ? Math.floor(policy / COLOURS) % DASHES.length : trace.meta.dash];
    if (role === "line") trace.line = { ...trace.line, color: colour, width: 2, dash };
    if (role === "area") Object.assign(trace, { fillcolor: colour + "b0", line: { width: 0.5, color: colour } });
    if (role === "band") Object.assign(trace, { fillcolor: colour + "33", line: { width: 0, color: colour } });
    if (role === "bar") {
      trace.marker = { ...trace.marker, color: colour, opacity: 0.85, pattern: { shape: dash === "solid" ? "" : "/", solidity: 0.4 } };
      trace.error_y = { ...trace.error_y, color: css("--ink"), thickness: 1, width: 2 };
    }
    if (role === "stretch") trace.line = { ...trace.line, color: colour };
    if (role === "dot") trace.marker = { ...trace.marker, color: colour, symbol: SYMBOLS[policy % SYMBOLS.length], line: { color: css("--card"), width: 1.5 }, opacity: 1 };
    if (role === "end") trace.marker = { ...trace.marker, color: colour, symbol: "line-ns", line: { color: colour, width: 1.5 } };
    return trace;
  }

  function paintAxis(axis) {
    return {
      gridcolor: css("--grid"), zeroline: false, linecolor: css("--line"), tickcolor: css("--line"), automargin: true,
      tickfont: { color: css("--soft"), size: 12 }, spikecolor: css("--soft"), spikethickness: 1, spikedash: "dot", ...axis,
      title: { standoff: 8, font: { color: css("--soft"), size: 13 }, ...(axis.title || {}) },
    };
  }

  function figure(plot, variant, width) {
    const source = plot.figures[variant];
    const traces = source.traces.map((trace) => {
      const copy = { ...trace, meta: { ...trace.meta } };
      if (copy.meta.humanise) copy.customdata = copy[copy.meta.humanise].map(humanise);
      return paintTrace(copy);
    });
    const layout = {
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", showlegend: false, autosize: true, height: source.height,
      margin: { l: 8, r: 14, t: 26, b: 8, pad: 2 }, uirevision: "kept", dragmode: "zoom",
      modebar: { bgcolor: "rgba(0,0,0,0)", color: css("--soft"), activecolor: css("--ink") },
      font: { family: getComputedStyle(document.body).fontFamily, color: css("--ink"), size: 13 },
      hoverlabel: { bgcolor: css("--card"), bordercolor: css("--line"), font: { color: css("--ink"), size: 13 }, align: "left", namelength: -1 },
      ...source.layout,
    };
    for (const key of Object.keys(layout)) if (/^[xy]axis\d*$/.test(key)) layout[key] = paintAxis(layout[key]);
    for (const key of source.durations || []) Object.assign(layout[key], { tickmode: "array", minor: {} }, durationTicks(layout[key].range, width - 70));
    layout.annotations = (source.layout.annotations || []).map((a) => ({ ...a, font: { color: css("--soft"), size: 13 } }));
    layout.shapes = (source.layout.shapes || []).map((s) => (s.type === "rect"
      ? { ...s, fillcolor: css("--stripe") }
      : { ...s, line: { ...s.line, color: css("--soft") }, label: { ...s.label, font: { color: css("--soft"), size: 11 } } }));
    return { traces, layout };
  }

  /* A picture that leaves the page takes the legend and a background with it. */
  function download(box) {
    const layout = { ...box.layout, showlegend: report.policies.length > 1 || Boolean(box.layout.showlegend), legend: { orientation: "h", y: 1.02, yanchor: "bottom" }, paper_bgcolor: css("--card") };
    Plotly.downloadImage({ data: box.data, layout }, { format: "png", scale: 2, width: box.clientWidth, height: box.clientHeight + 30, filename: "apportion" });
  }

  const config = {
    responsive: true, displaylogo: false, displayModeBar: "hover", showSendToCloud: false, showEditInChartStudio: false,
    modeBarButtons: [["zoom2d", "pan2d", "resetScale2d", { name: "download", title: "Download as PNG", icon: Plotly.Icons.camera, click: download }]],
  };

  function draw(item) {
    item.width = item.box.clientWidth;
    const { traces, layout } = figure(item.plot, item.variant, item.width);
    item.box.style.height = layout.height + "px";
    return Plotly.react(item.box, traces, layout, config);
  }

  /* The round durations of a zoomed or resized axis are others. */
  function followZoom(item) {
    const keys = item.plot.figures[item.variant].durations || [];
    if (!keys.length) return;
    item.box.on("plotly_relayout", (event) => {
      if (event["xaxis.tickvals"]) return;
      for (const key of keys) {
        const ticks = durationTicks(item.box._fullLayout[key].range, item.box.clientWidth - 70);
        Plotly.relayout(item.box, { [key + ".tickvals"]: ticks.tickvals, [key + ".ticktext"]: ticks.ticktext });
      }
    });
  }

  function toggle(policy, alone) {
    if (alone) {
      const others = report.policies.map((_, i) => i).filter((i) => i !== policy);
      const already = others.every((i) => hidden.has(i)) && !hidden.has(policy);
      hidden.clear();
      if (!already) others.forEach((i) => hidden.add(i));
    } else if (!hidden.delete(policy)) hidden.add(policy);
    document.querySelectorAll(".chip").forEach((chip) => chip.setAttribute("aria-pressed", String(!hidden.has(Number(chip.dataset.policy)))));
    for (const item of drawn) {
      const visible = item.box.data.map((trace) => (trace.meta.policy === undefined ? true : !hidden.has(trace.meta.policy)));
      Plotly.restyle(item.box, { visible });
    }
  }

  function setTheme(theme) {
    root.dataset.theme = theme;
    drawn.forEach(draw);
  }

  const preferred = window.matchMedia("(prefers-color-scheme: dark)");
  const wanted = location.hash === "#dark" ? "dark" : location.hash === "#light" ? "light" : preferred.matches ? "dark" : "light";
  root.dataset.theme = wanted;

  document.querySelectorAll("figure[data-plot]").forEach((element) => {
    const plot = report.plots[element.dataset.plot];
    const item = { box: element.querySelector(".plot"), plot, variant: 0, width: 0 };
    drawn.push(item);
    draw(item).then(() => followZoom(item));
  });

  /* A choice above the plots of a card is for all of them; one inside a figure is for that alone. */
  document.querySelectorAll(".choice").forEach((choice) => {
    const around = choice.closest("figure") || choice.closest(".card");
    choice.querySelectorAll("[data-variant]").forEach((button) => button.addEventListener("click", () => {
      choice.querySelectorAll("[data-variant]").forEach((b) => b.setAttribute("aria-pressed", String(b === button)));
      for (const item of drawn.filter((one) => around.contains(one.box))) {
        item.variant = Number(button.dataset.variant);
        const caption = item.box.closest("figure").querySelector(".caption");
        if (caption) caption.innerHTML = item.plot.captions[item.variant];
        draw(item);
      }
    }));
  });

  document.querySelectorAll(".chip").forEach((chip) => {
    chip.title = "click: hide or show; double-click: only this one";
    let waiting = 0;
    chip.addEventListener("click", () => {
      clearTimeout(waiting);
      waiting = setTimeout(() => toggle(Number(chip.dataset.policy), false), 220);
    });
    chip.addEventListener("dblclick", () => {
      clearTimeout(waiting);
      toggle(Number(chip.dataset.policy), true);
    });
  });

  document.getElementById("theme").addEventListener("click", () => setTheme(root.dataset.theme === "dark" ? "light" : "dark"));
  preferred.addEventListener("change", (event) => setTheme(event.matches ? "dark" : "light"));

  let before = null;
  window.addEventListener("beforeprint", () => { before = root.dataset.theme; if (before !== "light") setTheme("light"); });
  window.addEventListener("afterprint", () => { if (before && before !== root.dataset.theme) setTheme(before); });
})();
