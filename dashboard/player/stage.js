// The two clips as one sees them, and the controls below: beside each other, wiped, or flipped.

import { button, el, percent } from "./dom.js";
import { Pair, SIDES } from "./pair.js";

const NAMES = { left: "Left", right: "Right" };
const MODE_NAMES = { side: "Side by side", wipe: "Wipe", flip: "Flip" };

const RETRY_MS = 1500;

// A video element that starts to load at once, before anybody looks. A clip that broke off, because the
// network or the server was away, is fetched again for as long as the element is wanted.
export function load(url, side) {
  const video = el("video", {
    preload: "auto",
    playsinline: true,
    disablepictureinpicture: true,
    disableremoteplayback: true,
    "aria-label": `${NAMES[side]} clip`,
  });
  video.muted = true;
  video.addEventListener("error", () => setTimeout(() => video.getAttribute("src") && video.error && video.load(), RETRY_MS));
  video.src = url;
  return video;
}

export class Stage {
  constructor({ modes = ["side"], needs = { seen: 0, heard: 0 }, signal, onchange = () => {} }) {
    this.modes = modes;
    this.needs = needs;
    this.onchange = onchange;
    this.used = new Set();
    this.front = "left";
    this.pair = null;
    this.figures = Object.fromEntries(
      SIDES.map((side) => [side, el("figure", { class: `clip ${side}` }, el("figcaption", {}, NAMES[side]))]),
    );
    this.big = button("▶  Play (space)", { class: "big", tabindex: -1 }, () => this.pair?.toggle(), signal);
    this.cut = el("input", { type: "range", class: "cut", min: 0, max: 100, value: 50, "aria-label": "Where the wipe cuts" });
    this.cut.addEventListener("input", () => this.picture.style.setProperty("--cut", `${this.cut.value}%`), { signal });
    this.picture = el("div", { class: "picture" }, this.figures.left, this.figures.right, this.big, this.cut);
    this.playButton = button("▶", { class: "play", title: "Play or pause (space)" }, () => this.pair?.toggle(), signal);
    this.seek = el("input", { type: "range", class: "seek", min: 0, max: 1000, value: 0, "aria-label": "Position" });
    this.seek.addEventListener("input", () => this.pair?.seek((this.seek.value / 1000) * this.pair.longer), { signal });
    this.clock = el("span", { class: "clock" }, "0.00 s");
    this.hears = Object.fromEntries(
      SIDES.map((side) => [
        side,
        button(`${NAMES[side]} sound`, { "aria-pressed": "false", title: side === "left" ? "Hear left (a)" : "Hear right (d)" }, () => this.hear(side), signal),
      ]),
    );
    this.modeButton = button("", { class: "mode", title: "Change the view (w)" }, () => this.nextMode(), signal);
    this.modeButton.hidden = modes.length < 2;
    this.covers = Object.fromEntries(SIDES.map((side) => [side, el("span", { class: "cover" })]));
    this.root = el(
      "section",
      { class: "stage", "aria-label": "Clips" },
      this.picture,
      el(
        "div",
        { class: "transport" },
        this.covers.left,
        button("−1", { title: "One frame back (←)", "aria-label": "One frame back" }, () => this.pair?.stepFrames(-1), signal),
        this.playButton,
        button("+1", { title: "One frame on (→)", "aria-label": "One frame on" }, () => this.pair?.stepFrames(1), signal),
        this.seek,
        this.clock,
        el("span", { class: "sounds", role: "group", "aria-label": "Sound" }, this.hears.left, this.hears.right),
        this.modeButton,
        this.covers.right,
      ),
    );
    this.setMode(modes[0] ?? "side");
    document.addEventListener("visibilitychange", () => document.hidden && this.pair?.wanted && this.pair.pause(), { signal });
  }

  show(videos, facts, kept) {
    this.clear();
    for (const side of SIDES) this.figures[side].prepend(videos[side]);
    this.pair = new Pair(videos, facts, { onchange: () => this.draw(), kept });
    this.used = new Set([this.mode]);
    this.timer = setInterval(() => this.draw(), 120);
    this.draw();
  }

  clear() {
    clearInterval(this.timer);
    this.pair?.dispose();
    this.pair = null;
  }

  hear(side) {
    this.front = side;
    this.pair?.hear(side);
    this.draw();
  }

  setMode(mode) {
    this.mode = mode;
    this.used.add(mode);
    this.draw();
  }

  nextMode() {
    if (this.modes.length > 1) this.setMode(this.modes[(this.modes.indexOf(this.mode) + 1) % this.modes.length]);
  }

  draw() {
    this.picture.dataset.mode = this.mode;
    this.picture.dataset.front = this.front;
    this.modeButton.textContent = MODE_NAMES[this.mode] ?? this.mode;
    const pair = this.pair;
    if (!pair) return;
    const playing = pair.wanted;
    this.big.hidden = playing || pair.plays > 0;
    this.playButton.textContent = playing ? "❚❚" : "▶";
    this.playButton.setAttribute("aria-label", playing ? "Pause" : "Play");
    const time = pair.time();
    this.clock.textContent = `${time.toFixed(2)} s`;
    const scale = Math.round((time / pair.longer) * 1000);
    if (this.seek.getRootNode().activeElement !== this.seek) this.seek.value = String(scale);
    for (const side of SIDES) {
      const heard = pair.sound === side;
      const silent = !pair.facts[side].audible;
      this.hears[side].setAttribute("aria-pressed", String(heard && !silent));
      this.hears[side].disabled = silent;
      this.hears[side].textContent = silent ? `${NAMES[side]}: no sound` : `${heard ? "♪ " : ""}${NAMES[side]} sound`;
      const seen = `seen ${percent(pair.seen[side].share())}`;
      const ear = silent ? "" : ` · heard ${percent(pair.heard[side].share())}`;
      this.covers[side].textContent = `${this.missing(side).length ? "○" : "✓"} ${NAMES[side]}: ${seen}${ear}`;
    }
    this.onchange();
  }

  // What of one side is still to be watched, in words.
  missing(side) {
    const pair = this.pair;
    if (!pair) return [];
    const lacks = [];
    if (pair.seen[side].share() < this.needs.seen) lacks.push(`watch the ${side} clip to ${percent(this.needs.seen)}`);
    if (pair.facts[side].audible && pair.heard[side].share() < this.needs.heard)
      lacks.push(`hear the ${side} clip to ${percent(this.needs.heard)} (${side === "left" ? "a" : "d"})`);
    return lacks;
  }

  dispose() {
    this.clear();
    this.root.remove();
  }
}
