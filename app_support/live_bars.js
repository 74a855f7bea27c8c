// Bars that follow the finger: soft targets are computed here, from logits, while the slider is dragged.
// Python hears of the temperature once it is released.

function softTargets(logits, temperature) {
  const highest = Math.max(...logits);
  const weights = logits.map((z) => Math.exp((z - highest) / temperature));
  const sum = weights.reduce((a, b) => a + b, 0);
  return weights.map((w) => w / sum);
}

const entropy = (p) => p.reduce((sum, q) => (q > 0 ? sum - q * Math.log(q) : sum), 0);

function percent(share) {
  const value = 100 * share;
  if (value >= 0.1) return `${value.toFixed(1)}\u00a0%`; // the space does not break
  return value >= 0.001 ? `${value.toPrecision(1)}\u00a0%` : "≈\u00a00\u00a0%";
}

// The wrong classes, the likeliest first. A drawing has no label: what the teacher picks counts as right.
function darkKnowledge(p, data) {
  const right = data.label ?? data.teacher_logits.indexOf(Math.max(...data.teacher_logits));
  const wrong = p.map((share, c) => ({ share, c })).filter(({ c }) => c !== right);
  wrong.sort((a, b) => b.share - a.share);
  return { wrong, together: wrong.reduce((sum, { share }) => sum + share, 0) };
}

// An image (rows of numbers) as dark ink on white, or a signal (numbers) as a line over time.
function drawExample(parent, x, description, words) {
  parent.setAttribute("aria-label", description);
  parent.replaceChildren();
  if (Array.isArray(x[0])) {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [x[0].length, x.length];
    const context = canvas.getContext("2d");
    const image = context.createImageData(canvas.width, canvas.height);
    x.flat().forEach((ink, i) => image.data.set([...Array(3).fill(255 * (1 - ink)), 255], 4 * i));
    context.putImageData(image, 0, 0);
    parent.append(canvas);
    return;
  }
  const [low, high] = [Math.min(...x), Math.max(...x)];
  const svg = make(parent, "svg", { viewBox: "0 0 100 100", preserveAspectRatio: "none" });
  const points = x.map((value, i) => `${(100 * i) / (x.length - 1)},${(100 * (high - value)) / (high - low || 1)}`);
  const pen = { fill: "none", stroke: "currentColor", "stroke-width": 3, "vector-effect": "non-scaling-stroke" };
  make(svg, "polyline", { points: points.join(" "), ...pen });
  text(parent, "axis", fill(words.time, { length: x.length }));
}

function build(root, data) {
  drawExample(root.querySelector(".example"), data.x, data.description, data.words);
  const legend = root.querySelector(".legend");
  const rows = root.querySelector(".rows");
  legend.replaceChildren();
  rows.replaceChildren();
  const swatches = [
    [data.words.teacher, (svg) => make(svg, "rect", { y: "20%", width: "100%", height: "60%", fill: data.colours.teacher })],
    [data.student_name, (svg) => make(svg, "rect", { y: "5%", width: "100%", height: "90%", fill: "none", stroke: data.colours.student, "stroke-width": 2.5 })],
    ...(data.label === null ? [] : [[data.words.label, (svg) => make(svg, "line", { x1: "50%", x2: "50%", y1: "0", y2: "100%", stroke: "currentColor", "stroke-width": 5 })]]),
    [fill(data.words.uniform, { share: percent(1 / data.classes.length) }), (svg) => make(svg, "line", { x1: "50%", x2: "50%", y1: "0", y2: "100%", stroke: "currentColor", "stroke-dasharray": "3 3", "stroke-width": 1.5 })],
  ];
  for (const [name, draw] of swatches) {
    const item = text(legend, "item", "");
    draw(make(item, "svg", { "aria-hidden": "true" }));
    item.append(name);
  }
  const uniform = `${100 / data.classes.length}%`;
  const bars = data.classes.map((name, c) => {
    text(rows, c === data.label ? "class true" : "class", name);
    const svg = make(rows, "svg", { "aria-hidden": "true" });
    const teacher = make(svg, "rect", { y: "20%", height: "60%", fill: data.colours.teacher, "data-teacher": c });
    make(svg, "line", { x1: uniform, x2: uniform, y1: "0", y2: "100%", stroke: "currentColor", "stroke-dasharray": "3 3", "stroke-width": 1.5 });
    const student = make(svg, "rect", { y: "5%", height: "90%", fill: "none", stroke: data.colours.student, "stroke-width": 2.5 });
    if (c === data.label) {
      make(svg, "line", { x1: "100%", x2: "100%", y1: "0", y2: "100%", stroke: "currentColor", "stroke-width": 5 });
    }
    return { teacher, student, share: text(rows, "share", "") };
  });
  const ends = root.querySelector(".ends");
  ends.replaceChildren();
  for (const t of [data.temperatures[0], data.temperatures.at(-1)]) text(ends, "", `T = ${t}`);
  return bars;
}

function draw(root, data, bars) {
  const began = performance.now();
  const input = root.querySelector("input");
  const temperature = data.temperatures[Number(input.value)];
  const teacher = softTargets(data.teacher_logits, temperature);
  const student = softTargets(data.student_logits, temperature);
  bars.forEach((bar, c) => {
    bar.teacher.setAttribute("width", `${100 * teacher[c]}%`);
    bar.student.setAttribute("width", `${100 * student[c]}%`);
    bar.share.textContent = percent(teacher[c]);
  });
  const words = data.words;
  const { wrong, together } = darkKnowledge(teacher, data);
  const atOne = darkKnowledge(softTargets(data.teacher_logits, 1), data).together;
  const [first, second] = wrong;
  root.querySelector(".value").textContent = `T = ${temperature}`;
  root.querySelector(".sentence").textContent = fill(together < 1e-5 ? words.sentence_nothing : words.sentence, {
    together: percent(together),
    at_one: temperature === 1 ? "" : fill(words.at_one, { share: percent(atOne) }),
    first: data.classes[first.c],
    first_share: percent(first.share),
    then: second?.share >= 1e-5 ? fill(words.then, { second: data.classes[second.c], share: percent(second.share) }) : "",
    teacher_entropy: entropy(teacher).toFixed(2),
    student_entropy: entropy(student).toFixed(2),
    most_entropy: Math.log(data.classes.length).toFixed(2),
  });
  const top = teacher.indexOf(Math.max(...teacher));
  root.querySelector(".rows").setAttribute(
    "aria-label",
    fill(words.described, {
      temperature,
      top: data.classes[top],
      top_share: percent(teacher[top]),
      first: data.classes[first.c],
      first_share: percent(first.share),
      student: data.student_name,
      student_share: percent(student[top]),
      label: data.label === null ? "–" : data.classes[data.label],
    }),
  );
  input.setAttribute("aria-valuetext", `T = ${temperature}`);
  root.getBoundingClientRect(); // forces the layout, so that the time below includes it
  root.dataset.redrawMs = (performance.now() - began).toFixed(2);
  root.dataset.temperature = temperature;
}

export default function (component) {
  const { data, parentElement, setStateValue } = component;
  const root = parentElement.querySelector(".bars");
  const input = root.querySelector("input");
  const bars = build(root, data);
  root.querySelector(".name").firstChild.textContent = `${data.words.temperature} `;
  input.setAttribute("aria-label", data.words.slider);
  input.title = data.words.slider_help;
  input.disabled = data.locked;
  for (const part of [input, root.querySelector(".ends")]) part.style.display = data.hidden ? "none" : "";
  input.max = data.temperatures.length - 1;
  // What Python says is older than what the finger does, and than a release that Python has not answered yet.
  if (root.released === data.temperature) root.released = undefined;
  if (!root.dragging && root.released === undefined) input.value = data.temperatures.indexOf(data.temperature);
  input.oninput = () => {
    root.dragging = true;
    draw(root, data, bars);
  };
  input.onchange = () => {
    root.dragging = false;
    root.released = data.temperatures[Number(input.value)];
    setStateValue("temperature", root.released);
  };
  // A drag that ends where it began is no change.
  input.onpointerup = input.onpointercancel = input.onblur = input.onkeyup = () => (root.dragging = false);
  draw(root, data, bars);
}
