// What our components share; Python puts it before each of them.

const SVG = "http://www.w3.org/2000/svg";

function make(parent, tag, attributes = {}) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  parent.append(element);
  return element;
}

function text(parent, className, content) {
  const element = document.createElement("span");
  element.className = className;
  element.textContent = content;
  parent.append(element);
  return element;
}

// Words come from the catalogue, with places for what only a picture knows: "{first} with {share}".
const fill = (template, values) => template.replace(/\{(\w+)\}/g, (_, name) => values[name]);

