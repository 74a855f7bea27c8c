// The loss of one example and the gradient that reaches the student, computed here while the sliders are dragged.
// A browser test compares every number with autograd through toolkit.losses. Python hears of a value once it is released.

const NAMES = ["lam", "lam_f", "T"];

const sum = (values) => values.reduce((a, b) => a + b, 0);

function logSoftmax(logits, temperature) {
  const scaled = logits.map((z) => z / temperature);
  const highest = Math.max(...scaled);
  const logSum = highest + Math.log(sum(scaled.map((z) => Math.exp(z - highest))));
  return scaled.map((z) => z - logSum);
}

// (1 − λ)·CE + λ·T²·KL + λ_f·L_f for one example, and its gradients; beside it what the article prints.
function compute({ student, teacher, label, weights }, { lam, lam_f, T }) {
  const hard = logSoftmax(student, 1);
  const [studentLog, teacherLog] = [logSoftmax(student, T), logSoftmax(teacher, T)];
  const targets = teacherLog.map(Math.exp);
  const crossEntropy = -hard[label];
  const divergence = sum(targets.map((p, c) => p * (teacherLog[c] - studentLog[c])));
  const penalty = sum(weights.map((w) => w * w));
  const hardPart = hard.map((logP, c) => (1 - lam) * (Math.exp(logP) - (c === label ? 1 : 0)));
  const softPart = studentLog.map((logP, c) => lam * T * (Math.exp(logP) - targets[c]));
  return {
    hard: (1 - lam) * crossEntropy,
    soft: lam * T * T * divergence,
    complexity: lam_f * penalty,
    total: (1 - lam) * crossEntropy + lam * T * T * divergence + lam_f * penalty,
    printed: -logSoftmax(teacher, 1)[label] + lam_f * penalty,
    hardPart,
    softPart,
    gradient: hardPart.map((g, c) => g + softPart[c]),
    onWeights: weights.map((w) => 2 * lam_f * w),
  };
}

// Bars to the left and right of zero: the hard part above, the soft part below, their sum outlined around both.
function signedBar(svg, values, reach, colours) {
  svg.replaceChildren();
  const bar = (value, attributes) => {
    const width = (50 * Math.min(1, Math.abs(value) / reach)).toFixed(2);
    make(svg, "rect", { x: `${value < 0 ? 50 - width : 50}%`, width: `${width}%`, ...attributes });
  };
  if (values.length === 3) {
    bar(values[0], { y: "22%", height: "26%", fill: colours.hard });
    bar(values[1], { y: "52%", height: "26%", fill: colours.soft });
  }
  bar(values.at(-1), { y: "8%", height: "84%", fill: "none", stroke: colours.sum, "stroke-width": 2.5 });
  make(svg, "line", { x1: "50%", x2: "50%", y1: "0", y2: "100%", stroke: "currentColor", "stroke-width": 1.5 });
}

const signed = (value) => (Math.abs(value) < 5e-4 ? "0" : `${value > 0 ? "+" : "−"}${Math.abs(value).toFixed(3)}`);

// The sliders stay as long as nothing but their values changes: a new one would lose the keyboard's focus.
function buildSliders(root, data) {
  const words = data.words;
  const look = JSON.stringify([NAMES.map((name) => [words[name], words[`${name}_help`]]), data.stops, data.hidden, data.locked]);
  if (root.look === look) return;
  root.look = look;
  root.inputs = {};
  const sliders = root.querySelector(".sliders");
  sliders.replaceChildren();
  for (const name of NAMES) {
    if (data.hidden.includes(name)) continue;
    const label = document.createElement("label");
    const title = document.createElement("span");
    const value = document.createElement("strong");
    title.append(`${words[name]} `, value);
    const input = document.createElement("input");
    Object.assign(input, { type: "range", min: 0, max: data.stops[name].length - 1, step: 1, disabled: data.locked });
    input.title = words[`${name}_help`];
    input.setAttribute("aria-label", words[name]);
    label.append(title, input);
    sliders.append(label);
    root.inputs[name] = { input, value };
  }
}

function buildRows(root, data) {
  const words = data.words;
  const rows = (selector, caption, names, first, bars) => {
    const place = root.querySelector(selector);
    place.replaceChildren();
    root.querySelector(caption).textContent = first;
    for (const [i, head] of ["", bars, words.printed, words.repaired].entries())
      text(place, i === 1 ? "head first" : "head", head);
    return names.map((name) => {
      text(place, "class", name);
      const svg = make(place, "svg", { "aria-hidden": "true" });
      return { svg, printed: text(place, "number", ""), repaired: text(place, "number", "") };
    });
  };
  const classes = rows(".classes", ".logits-caption", data.example.classes, words.on_logits, words.repaired_bars);
  const weights = rows(".weights", ".weights-caption", data.example.weights.map((w) => `w = ${String(w).replace("-", "−")}`), words.on_weights, "");
  const terms = root.querySelector(".terms");
  terms.replaceChildren();
  const lines = ["hard", "soft", "complexity", "total", "printed"].map((name) => {
    const className = name === "total" ? "total" : "";
    text(terms, className, words[`part_${name}`]);
    return [name, text(terms, `number ${className}`, "")];
  });
  return { classes, weights, lines };
}

function draw(root, data, parts, at) {
  const began = performance.now();
  const numbers = compute(data.example, at);
  const colours = data.colours;
  for (const [name, { input, value }] of Object.entries(root.inputs)) {
    value.textContent = `= ${at[name]}`;
    input.setAttribute("aria-valuetext", `${data.words[name]} = ${at[name]}`);
  }
  for (const [name, place] of parts.lines) place.textContent = numbers[name].toFixed(3);
  parts.classes.forEach((row, c) => {
    signedBar(row.svg, [numbers.hardPart[c], numbers.softPart[c], numbers.gradient[c]], data.reach, colours);
    row.printed.textContent = data.locked ? "?" : "0"; // the page asks for it
    row.repaired.textContent = signed(numbers.gradient[c]);
  });
  parts.weights.forEach((row, i) => {
    signedBar(row.svg, [numbers.onWeights[i]], data.weights_reach, colours);
    row.repaired.textContent = signed(numbers.onWeights[i]);
    row.printed.textContent = data.locked ? "?" : row.repaired.textContent;
  });
  const norm = Math.sqrt(sum(numbers.gradient.map((g) => g * g))).toFixed(3);
  root.querySelector(".sentence").textContent = data.locked ? "" : fill(data.words.sentence, { norm });
  const described = parts.classes.map((row, c) => `${data.example.classes[c]} ${row.repaired.textContent}`).join("; ");
  const asPrinted = data.locked ? "" : data.words.described_printed;
  root.querySelector(".classes").setAttribute("aria-label", fill(data.words.described, { numbers: described }) + asPrinted);
  const onWeights = numbers.onWeights.map(signed).join("; ");
  root.querySelector(".weights").setAttribute("aria-label", fill(data.words.described_weights, { numbers: onWeights }));
  root.querySelector(".terms").setAttribute(
    "aria-label",
    parts.lines.map(([name, place]) => `${data.words[`part_${name}`]}: ${place.textContent}`).join("; "),
  );
  root.getBoundingClientRect(); // forces the layout, so that the time below includes it
  root.dataset.redrawMs = (performance.now() - began).toFixed(2);
  root.dataset.numbers = JSON.stringify({ ...at, ...numbers });
}

const same = (a, b) => NAMES.every((name) => a[name] === b[name]);

export default function (component) {
  const { data, parentElement, setStateValue } = component;
  const root = parentElement.querySelector(".lab");
  buildSliders(root, data);
  const parts = buildRows(root, data);
  // What Python says is older than what the finger does, and than a release that Python has not answered yet.
  if (root.released && same(root.released, data.at)) root.released = undefined;
  if (!root.dragging && !root.released) root.at = { ...data.at };
  for (const [name, { input }] of Object.entries(root.inputs)) {
    const stops = data.stops[name];
    if (!root.dragging) input.value = stops.indexOf(root.at[name]);
    input.oninput = () => {
      root.dragging = true;
      root.at[name] = stops[Number(input.value)];
      draw(root, data, parts, root.at);
    };
    input.onchange = () => {
      root.dragging = false;
      root.released = { ...root.at };
      setStateValue("at", root.released);
    };
    // A drag that ends where it began is no change.
    input.onpointerup = input.onpointercancel = input.onblur = input.onkeyup = () => (root.dragging = false);
  }
  draw(root, data, parts, root.at);
}
