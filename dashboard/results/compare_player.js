// Two to four clips on one clock, and what was measured under the playhead.
//
// The clip that is heard leads; the others follow by small changes of speed and jump only when far off.

const GAIN = 2;
const MOST_GAIN = 0.2;
const JUMP_S = 0.15;
const MODES = ["side", "wipe", "overlay", "difference"];
const SVG = "http://www.w3.org/2000/svg";
const DASHES = ["", "6 3", "2 3", "8 3 2 3"]; // lines differ in dashes as well as in colour
const mounted = new WeakMap();

function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== false && value !== null) node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children);
  return node;
}

function svg(tag, attributes) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, String(value));
  return node;
}

class Clock {
  constructor(clips, videos, tell) {
    Object.assign(this, { clips, videos, tell, playing: false, turn: 0, heard: 0, speed: 1 });
    this.stopped = new AbortController();
    this.length = Math.max(...clips.map((clip) => clip.duration_s));
    this.step = 1 / Math.min(...clips.map((clip) => clip.frame_rate));
    this.hear(Math.max(0, clips.findIndex((clip) => clip.audible)));
    this.tick();
  }

  get time() {
    return this.videos[this.heard].currentTime;
  }

  hear(place) {
    this.heard = place;
    this.videos.forEach((video, other) => {
      video.muted = other !== place;
      video.playbackRate = this.speed;
    });
    this.tell();
  }

  // The middle of a frame, so that rounding never shows its neighbour.
  middle(place, time) {
    const { frame_rate: rate, duration_s: duration } = this.clips[place];
    const last = Math.max(0, Math.round(duration * rate) - 1);
    return (Math.min(last, Math.max(0, Math.floor(time * rate + 1e-3))) + 0.5) / rate;
  }

  async arrive(time) {
    const arriving = this.videos.map((video, place) => {
      const target = this.middle(place, time);
      if (Math.abs(video.currentTime - target) < 1e-3 && !video.seeking) return null;
      return new Promise((resolve) => {
        const timer = setTimeout(resolve, 4000);
        const done = () => (clearTimeout(timer), resolve());
        video.addEventListener("seeked", done, { once: true });
        video.addEventListener("error", done, { once: true });
        video.currentTime = target;
      });
    });
    await Promise.all(arriving);
  }

  async seek(time) {
    const turn = ++this.turn;
    this.videos.forEach((video) => video.pause());
    await this.arrive(Math.min(Math.max(0, time), this.length - this.step / 2));
    if (turn !== this.turn || this.stopped.signal.aborted) return;
    if (this.playing) {
      const results = await Promise.allSettled(this.videos.map((video) => video.play()));
      if (results.every((result) => result.status === "rejected")) this.playing = false;
    }
    this.tell();
  }

  toggle() {
    this.playing = !this.playing;
    this.tell();
    return this.seek(this.time >= this.length - 2 * this.step ? 0 : this.time);
  }

  frames(count) {
    this.playing = false;
    const frame = Math.floor(this.time / this.step + 1e-3) + count;
    return this.seek((frame + 0.5) * this.step);
  }

  tick() {
    if (this.stopped.signal.aborted) return;
    if (this.playing) this.together();
    this.tell();
    requestAnimationFrame(() => this.tick());
  }

  together() {
    const lead = this.videos[this.heard];
    if (this.videos.every((video) => video.ended || video.paused)) {
      if (this.videos.some((video) => video.ended)) this.seek(0);
      return;
    }
    if (lead.paused || lead.seeking || lead.readyState < 3) return;
    this.videos.forEach((video, place) => {
      if (place === this.heard || video.paused || video.seeking || video.readyState < 3) return;
      const drift = video.currentTime - lead.currentTime;
      if (Math.abs(drift) > JUMP_S) video.currentTime = lead.currentTime;
      const change = Math.min(MOST_GAIN, Math.max(-MOST_GAIN, -GAIN * drift));
      const rate = this.speed * (Math.round((1 + change) * 200) / 200);
      if (video.playbackRate !== rate) video.playbackRate = rate;
    });
  }

  dispose() {
    this.stopped.abort();
    ++this.turn;
    for (const video of this.videos) {
      video.pause();
      video.removeAttribute("src");
      video.load();
    }
  }
}

function drawSeries(chart, length, systems) {
  const [width, height] = [1000, 110];
  const values = chart.lines.flatMap((line) => line.values).filter((value) => value !== null);
  if (!values.length) return null;
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const span = high - low || 1;
  const drawing = svg("svg", { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", role: "img" });
  drawing.setAttribute("aria-label", `${chart.title}, from ${low.toPrecision(3)} to ${high.toPrecision(3)} ${chart.unit}`);
  for (const line of chart.lines) {
    const place = systems.indexOf(line.system);
    let path = "";
    let pen = "M";
    line.times_s.forEach((time, index) => {
      const value = line.values[index];
      if (value === null) pen = "M";
      else {
        path += `${pen}${((width * time) / length).toFixed(1)} ${(height - 6 - ((height - 12) * (value - low)) / span).toFixed(1)}`;
        pen = "L";
      }
    });
    drawing.append(svg("path", { d: path, class: `line line${place}`, "stroke-dasharray": DASHES[place] }));
  }
  const head = svg("line", { y1: 0, y2: height, class: "head" });
  drawing.append(head);
  const title = `${chart.title} · ${low.toPrecision(3)} to ${high.toPrecision(3)} ${chart.unit}`;
  return { figure: el("figure", { class: "series" }, el("figcaption", {}, title), drawing), head, width, drawing };
}

export default function ({ data, parentElement }) {
  const root = parentElement.querySelector(".compare");
  const told = JSON.stringify(data);
  const before = mounted.get(parentElement);
  if (before) {
    if (before.told === told) return undefined; // an unrelated change of the page does not stop the clips
    before.dispose();
  }
  const systems = data.clips.map((clip) => clip.system);
  let mode = "side";
  let clock = null;
  const videos = data.clips.map((clip) => el("video", { src: clip.url, preload: "auto", playsinline: true, "aria-label": clip.system }));
  const figures = videos.map((video, place) => {
    const mark = svg("svg", { viewBox: "0 0 24 6", class: "key" });
    mark.append(svg("path", { d: "M0 3L24 3", class: `line line${place}`, "stroke-dasharray": DASHES[place] }));
    return el("figure", { class: "clip" }, video, el("figcaption", {}, mark, ` ${systems[place]}`));
  });
  const picture = el("div", { class: "picture", "data-count": videos.length }, ...figures);
  const play = el("button", { type: "button", title: "Play or pause (space)" }, "▶");
  const seek = el("input", { type: "range", min: 0, max: 1000, value: 0, "aria-label": "Position" });
  const shown = el("output", {}, "0.00 s");
  const cut = el("input", { type: "range", class: "cut", min: 0, max: 100, value: 50, "aria-label": "Where the wipe cuts, or how far the overlay goes" });
  const modes = MODES.map((name) => el("button", { type: "button", "aria-pressed": name === mode }, name));
  const hears = data.clips.map((clip) => el("button", { type: "button", disabled: !clip.audible, title: `Hear ${clip.system}` }, clip.audible ? `♪ ${clip.system}` : `${clip.system}: no sound`));
  const speed = el("select", { "aria-label": "Speed" }, ...[0.25, 0.5, 1, 2].map((rate) => el("option", { value: rate, selected: rate === 1 }, `${rate}×`)));
  const back = el("button", { type: "button", title: "One frame back (←)" }, "−1");
  const on = el("button", { type: "button", title: "One frame on (→)" }, "+1");
  const charts = data.series.map((chart) => drawSeries(chart, Math.max(...data.clips.map((clip) => clip.duration_s)), systems)).filter(Boolean);
  const stage = el("section", { tabindex: 0, "aria-label": "Clips on one clock" }, picture,
    el("div", { class: "transport" }, back, play, on, seek, shown, speed),
    el("div", { class: "transport" }, ...hears, el("span", { class: "gap" }), ...(videos.length > 1 ? modes : []), cut),
    ...charts.map((chart) => chart.figure));

  const tell = () => {
    if (!clock) return;
    const time = clock.time;
    play.textContent = clock.playing ? "❚❚" : "▶";
    play.setAttribute("aria-label", clock.playing ? "Pause" : "Play");
    shown.textContent = `${time.toFixed(2)} s · frame ${Math.floor(time / clock.step + 1e-3)}`;
    if (seek.getRootNode().activeElement !== seek) seek.value = String(Math.round((1000 * time) / clock.length));
    hears.forEach((button, place) => button.setAttribute("aria-pressed", String(place === clock.heard)));
    for (const { head, width } of charts) {
      const x = ((width * time) / clock.length).toFixed(1);
      head.setAttribute("x1", x);
      head.setAttribute("x2", x);
    }
  };
  const setMode = (name) => {
    mode = name;
    picture.dataset.mode = name;
    cut.hidden = name === "side" || name === "difference";
    modes.forEach((button, place) => button.setAttribute("aria-pressed", String(MODES[place] === name)));
  };
  clock = new Clock(data.clips, videos, tell);
  const signal = clock.stopped.signal;
  play.addEventListener("click", () => clock.toggle(), { signal });
  back.addEventListener("click", () => clock.frames(-1), { signal });
  on.addEventListener("click", () => clock.frames(1), { signal });
  seek.addEventListener("input", () => clock.seek((seek.value / 1000) * clock.length), { signal });
  speed.addEventListener("change", () => ((clock.speed = Number(speed.value)), clock.hear(clock.heard)), { signal });
  cut.addEventListener("input", () => picture.style.setProperty("--cut", String(cut.value / 100)), { signal });
  hears.forEach((button, place) => button.addEventListener("click", () => clock.hear(place), { signal }));
  modes.forEach((button, place) => button.addEventListener("click", () => setMode(MODES[place]), { signal }));
  charts.forEach(({ drawing }) => drawing.addEventListener("click", (event) => {
    const box = drawing.getBoundingClientRect();
    clock.seek(((event.clientX - box.left) / box.width) * clock.length);
  }, { signal }));
  const keys = {
    " ": () => clock.toggle(), ArrowLeft: () => clock.frames(-1), ArrowRight: () => clock.frames(1),
    w: () => videos.length > 1 && setMode(MODES[(MODES.indexOf(mode) + 1) % MODES.length]),
  };
  stage.addEventListener("keydown", (event) => {
    if (["INPUT", "SELECT"].includes(event.target.tagName) || event.ctrlKey || event.metaKey) return;
    if (event.key === " " && event.target.tagName === "BUTTON") return;
    const act = keys[event.key];
    if (act) {
      event.preventDefault();
      act();
    }
    event.stopPropagation(); // the page has shortcuts of its own
  }, { signal });
  root.replaceChildren(stage);
  setMode("side");
  const dispose = () => {
    clock.dispose();
    mounted.delete(parentElement);
  };
  mounted.set(parentElement, { told, dispose });
  return dispose;
}
