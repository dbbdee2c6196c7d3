// The rows of a rating: one question each, answered by side. Arrow up and down choose the row, digits answer.

import { button, el } from "./dom.js";

const THREE = [
  ["left", "Left better"],
  ["same", "Same"],
  ["right", "Right better"],
];
const FIVE = [
  ["left_much", "Left much better"],
  ["left", "Left better"],
  ["same", "Same"],
  ["right", "Right better"],
  ["right_much", "Right much better"],
];
const CANT = ["cant_judge", "Can't judge"];

const collapse = (answer) => answer.replace(/_much$/, "");

export class Answers {
  constructor({ dimensions, fiveSteps, signal, onchange }) {
    this.dimensions = dimensions;
    this.steps = fiveSteps ? FIVE : THREE;
    this.onchange = onchange;
    this.given = {};
    this.row = 0;
    this.locked = false;
    this.rows = dimensions.map((dimension, index) => this.makeRow(dimension, index, signal));
    this.root = el("section", { class: "answers", "aria-label": "Your answers" }, ...this.rows.map((row) => row.root));
    this.draw();
  }

  makeRow(dimension, index, signal) {
    const choose = (value) => () => {
      this.row = index;
      this.answer(value);
    };
    const make = ([value, label], place) =>
      button(label, { "aria-pressed": "false", "data-value": value, "aria-label": `${dimension.title}: ${label}`, title: `${label} (${place})` }, choose(value), signal);
    const buttons = this.steps.map((step, place) => make(step, place + 1));
    const cant = make(CANT, 0);
    cant.classList.add("cant");
    const verdict = el("span", { class: "verdict" });
    const title = el("span", { class: "title", id: `row-${index}`, title: dimension.question }, dimension.title);
    const root = el("div", { class: "row", role: "group", "aria-labelledby": `row-${index}` }, title, ...buttons, cant, verdict);
    root.addEventListener("pointerdown", () => this.select(index), { signal });
    root.addEventListener("focusin", () => this.select(index), { signal });
    return { root, buttons: [...buttons, cant], verdict, dimension };
  }

  reset(given = {}) {
    this.given = Object.fromEntries(Object.entries(given).filter(([id]) => this.dimensions.some((d) => d.id === id)));
    this.locked = false;
    for (const row of this.rows) row.verdict.textContent = "";
    this.row = Math.max(0, this.firstOpen());
    this.draw();
  }

  firstOpen(from = 0) {
    const count = this.dimensions.length;
    for (let step = 0; step < count; step += 1) {
      const index = (from + step) % count;
      if (!(this.dimensions[index].id in this.given)) return index;
    }
    return -1;
  }

  select(index) {
    this.row = Math.min(this.dimensions.length - 1, Math.max(0, index));
    this.draw();
  }

  // Answer the chosen row and go to the next one without an answer.
  answer(value) {
    if (this.locked) return;
    this.given[this.dimensions[this.row].id] = value;
    const next = this.firstOpen(this.row + 1);
    if (next >= 0) this.row = next;
    this.draw();
    this.onchange();
  }

  digit(number) {
    if (number === 0) this.answer(CANT[0]);
    else if (number <= this.steps.length) this.answer(this.steps[number - 1][0]);
  }

  open() {
    return this.dimensions.filter((dimension) => !(dimension.id in this.given)).map((dimension) => dimension.title);
  }

  // After training: what was expected, in words and signs.
  explain(expected) {
    this.locked = true;
    const words = Object.fromEntries(THREE);
    for (const row of this.rows) {
      const right = expected[row.dimension.id];
      if (!right) continue;
      const agrees = collapse(this.given[row.dimension.id] ?? "") === right;
      row.verdict.textContent = agrees ? "✓ as expected" : `✗ expected: ${words[right]}`;
      row.verdict.dataset.agrees = String(agrees);
    }
  }

  draw() {
    this.rows.forEach((row, index) => {
      row.root.classList.toggle("current", index === this.row);
      for (const each of row.buttons) {
        const chosen = this.given[row.dimension.id] === each.dataset.value;
        each.setAttribute("aria-pressed", String(chosen));
      }
    });
  }
}
