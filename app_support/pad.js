// A sheet to draw on, with mouse, finger or keys. What is drawn is scaled to the frame, as the digits of the data set were,
// and goes to Python as the bits of a bitmap while it is drawn; the strokes go along once the pen is lifted, for the link.

const SEND_EVERY = 100; // milliseconds
const STEP = 0.04; // of the sheet, for one press of an arrow key
const NEAR = 0.02; // of the sheet: the pen draws a line between two points, those in between need no place in the link
const SIDE = 512; // points of the sheet, each way; three letters of a link hold one
const MOST_LETTERS = 1500; // of a link, some ten times across the sheet: of a longer scribble it holds the beginning
const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const MOVES = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] };

const onGrid = (share) => Math.round(Math.min(1, Math.max(0, share)) * (SIDE - 1)) / (SIDE - 1);

function asText(strokes) {
  const letters = ([x, y]) => {
    const place = Math.round(x * (SIDE - 1)) * SIDE + Math.round(y * (SIDE - 1));
    return LETTERS[place >> 12] + LETTERS[(place >> 6) & 63] + LETTERS[place & 63];
  };
  return strokes.map((stroke) => stroke.map(letters).join("")).join(".").slice(0, MOST_LETTERS);
}

// What cannot be read is left out.
function asStrokes(text) {
  const point = (letters) => {
    const place = [...letters].reduce((sum, letter) => sum * 64 + LETTERS.indexOf(letter), 0);
    return [Math.floor(place / SIDE) / (SIDE - 1), (place % SIDE) / (SIDE - 1)];
  };
  return text.split(".").map((stroke) => (stroke.match(/[\w-]{3}/g) ?? []).map(point)).filter((stroke) => stroke.length);
}

function line(context, strokes, place, width) {
  context.lineCap = context.lineJoin = "round";
  context.lineWidth = width;
  for (const stroke of strokes) {
    context.beginPath();
    stroke.forEach(([x, y], i) => context[i ? "lineTo" : "moveTo"](...place(x, y)));
    if (stroke.length === 1) context.lineTo(...place(stroke[0][0] + 1e-3, stroke[0][1]));
    context.stroke();
  }
}

// The drawing as a bitmap: as high as the frame, as wide as that makes it, in the middle.
function bitmap(strokes, { width, height, pen, fill }) {
  const points = strokes.flat();
  const [xs, ys] = [points.map((p) => p[0]), points.map((p) => p[1])];
  const [left, right, top, bottom] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  const room = fill * Math.min(width, height) - pen;
  const scale = room / Math.max(bottom - top, right - left, 0.1);
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d");
  const place = (x, y) => [width / 2 + scale * (x - (left + right) / 2), height / 2 + scale * (y - (top + bottom) / 2)];
  line(context, strokes, place, pen);
  const ink = context.getImageData(0, 0, width, height).data;
  let bits = "";
  for (let i = 3; i < ink.length; i += 4) bits += ink[i] > 127 ? "1" : "0";
  return bits;
}

export default function (component) {
  const { data, parentElement, setStateValue } = component;
  const root = parentElement.querySelector(".pad");
  const sheet = root.querySelector(".sheet");
  const words = data.words;
  root.querySelector(".hint").textContent = words.hint;
  root.querySelector(".clear").textContent = words.clear;
  sheet.setAttribute("aria-label", words.sheet);
  if (root.ready) return; // drawn again, perhaps in another language: what was drawn stays
  root.ready = true;
  const strokes = asStrokes(data.drawing);
  let lifted = data.drawing;
  let cursor = [onGrid(0.5), onGrid(0.2)];
  let [drawing, penDown, keys] = [false, false, false];
  let [sent, waiting] = [0, null];

  function redraw() {
    const context = sheet.getContext("2d");
    context.clearRect(0, 0, sheet.width, sheet.height);
    const place = (x, y) => [x * sheet.width, y * sheet.height];
    context.strokeStyle = "black";
    line(context, strokes, place, 22);
    if (keys) {
      context.beginPath();
      context.arc(...place(...cursor), 11, 0, 2 * Math.PI);
      context.lineWidth = 3;
      context.strokeStyle = context.fillStyle = data.colour;
      context.stroke();
      if (penDown) context.fill();
    }
  }
  function send() {
    waiting = null;
    sent = performance.now();
    if (!drawing && !penDown) lifted = asText(strokes);
    setStateValue("drawn", { ink: strokes.length ? bitmap(strokes, data.frame) : "", drawing: lifted });
  }
  function changed() {
    redraw();
    if (waiting === null) waiting = setTimeout(send, Math.max(0, sent + SEND_EVERY - performance.now()));
  }
  const at = (event) => {
    const box = sheet.getBoundingClientRect();
    return [onGrid((event.clientX - box.left) / box.width), onGrid((event.clientY - box.top) / box.height)];
  };
  sheet.onpointerdown = (event) => {
    sheet.setPointerCapture(event.pointerId);
    drawing = true;
    keys = penDown = false;
    strokes.push([at(event)]);
    changed();
  };
  sheet.onpointermove = (event) => {
    if (!drawing) return;
    const [point, last] = [at(event), strokes.at(-1).at(-1)];
    if (Math.hypot(point[0] - last[0], point[1] - last[1]) < NEAR) return;
    strokes.at(-1).push(point);
    changed();
  };
  sheet.onpointerup = sheet.onpointercancel = () => {
    drawing = false;
    changed();
  };
  function clear() {
    strokes.length = 0;
    drawing = penDown = false;
    changed();
  }
  sheet.onkeydown = (event) => {
    if (event.key === "Delete" || event.key === "Backspace") clear();
    else if (event.key === " ") {
      penDown = !penDown;
      if (penDown) strokes.push([[...cursor]]);
      keys = true;
      changed();
    } else if (event.key in MOVES) {
      const [dx, dy] = MOVES[event.key];
      cursor = [onGrid(cursor[0] + dx), onGrid(cursor[1] + dy)];
      if (penDown) strokes.at(-1).push([...cursor]);
      keys = true;
      penDown ? changed() : redraw();
    } else return;
    event.preventDefault();
  };
  root.querySelector(".clear").onclick = clear;
  if (strokes.length) changed(); // those of a link
  else redraw();
}
