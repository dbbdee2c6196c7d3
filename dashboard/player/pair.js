// Two clips on one clock: play, pause, seek, step and loop together; one of them is heard.
//
// The heard side leads; the silent one follows by small changes of its speed and jumps only when it is
// far off. Both start by the same path: seek, wait until both have arrived, play.

import { Coverage } from "./coverage.js";

export const SIDES = ["left", "right"];
const GAIN = 2.0; // change of speed per second of drift
const MOST_GAIN = 0.2;
const JUMP_S = 0.15; // drift beyond which speed alone would take too long
const SETTLE_MS = 700; // after a start, when offsets are not yet told
const SEEK_PATIENCE_MS = 4000;
const MOST_OFFSETS = 6000;

const other = (side) => (side === "left" ? "right" : "left");

export class Pair {
  // videos: {left, right}; facts: {left, right} with frame_rate, duration_s, audible.
  constructor(videos, facts, { onchange = () => {}, kept = {} } = {}) {
    this.videos = videos;
    this.facts = facts;
    this.onchange = onchange;
    this.stopped = new AbortController();
    this.playing = false;
    this.running = false; // the browser has really started
    this.wanted = false; // play as soon as both sides have arrived
    this.cursor = 0; // seconds at which both stand, or go to, when not playing
    this.sound = facts.left.audible || !facts.right.audible ? "left" : "right";
    this.turn = 0; // newer commands make older ones give up
    this.jumping = false;
    this.startedAt = 0;
    this.plays = 0;
    this.jumps = 0;
    this.offsets = [];
    this.seen = {};
    this.heard = {};
    for (const side of SIDES) {
      const duration = facts[side].duration_s;
      this.seen[side] = new Coverage(duration, kept.seen?.[side]);
      this.heard[side] = new Coverage(duration, kept.heard?.[side]);
      this.watch(side);
    }
    this.mute();
    this.beat = requestAnimationFrame(() => this.tick());
  }

  get shorter() {
    return Math.min(this.facts.left.duration_s, this.facts.right.duration_s);
  }

  get longer() {
    return Math.max(this.facts.left.duration_s, this.facts.right.duration_s);
  }

  get step_s() {
    return 1 / Math.min(this.facts.left.frame_rate, this.facts.right.frame_rate);
  }

  // Where a loop ends: the tail of the longer clip is shown until it has been seen, then left out.
  get end() {
    const long = this.facts.left.duration_s >= this.facts.right.duration_s ? "left" : "right";
    const seen = this.seen[long];
    return seen.marks.size >= seen.quarters ? this.shorter : this.longer;
  }

  time() {
    if (!this.playing) return this.cursor;
    return Math.max(this.videos.left.currentTime, this.videos.right.currentTime);
  }

  watch(side) {
    const video = this.videos[side];
    if (video.requestVideoFrameCallback) {
      const shown = (_, frame) => {
        if (this.stopped.signal.aborted) return;
        this.account(side, frame.mediaTime);
        video.requestVideoFrameCallback(shown);
      };
      video.requestVideoFrameCallback(shown);
    } else {
      video.addEventListener("timeupdate", () => this.account(side, video.currentTime), {
        signal: this.stopped.signal,
      });
    }
  }

  account(side, time) {
    if (!this.playing || document.hidden) {
      this.seen[side].leave();
      this.heard[side].leave();
      return;
    }
    this.seen[side].reach(time);
    if (this.sound === side && this.facts[side].audible) this.heard[side].reach(time);
    else this.heard[side].leave();
  }

  mute() {
    for (const side of SIDES) this.videos[side].muted = side !== this.sound;
  }

  hear(side) {
    if (!this.facts[side].audible) return;
    this.sound = side;
    this.heard.left.leave();
    this.heard.right.leave();
    for (const each of SIDES) this.videos[each].playbackRate = 1;
    this.mute();
    this.onchange();
  }

  // The centre of the frame that a side shows at a time.
  centre(side, time) {
    const { frame_rate: rate, duration_s: duration } = this.facts[side];
    const last = Math.max(0, Math.round(duration * rate) - 1);
    const frame = Math.min(last, Math.max(0, Math.floor(time * rate + 1e-3)));
    return (frame + 0.5) / rate;
  }

  async arrive(time, turn) {
    await Promise.all(
      SIDES.map(
        (side) =>
          new Promise((resolve) => {
            const video = this.videos[side];
            const target = this.centre(side, time);
            if (!video.seeking && video.readyState >= 2 && Math.abs(video.currentTime - target) < 1e-3) {
              resolve();
              return;
            }
            const done = new AbortController();
            const patience = setTimeout(finish, SEEK_PATIENCE_MS);
            function finish() {
              clearTimeout(patience);
              done.abort();
              resolve();
            }
            const signal = AbortSignal.any([done.signal, this.stopped.signal]);
            video.addEventListener("seeked", finish, { signal });
            video.addEventListener("error", finish, { signal });
            video.currentTime = target;
          }),
      ),
    );
    return turn === this.turn && !this.stopped.signal.aborted;
  }

  async play(from = null) {
    this.wanted = true;
    const turn = ++this.turn;
    let start = from ?? this.time();
    if (start >= this.end - this.step_s) start = 0;
    this.hold();
    this.cursor = start;
    if (!(await this.arrive(start, turn))) return;
    this.playing = true;
    this.running = false;
    this.plays += from === null ? 1 : 0;
    this.startedAt = performance.now();
    const alive = SIDES.filter((side) => start < this.facts[side].duration_s - this.step_s / 2);
    const started = await Promise.allSettled(alive.map((side) => this.videos[side].play()));
    if (turn !== this.turn) return;
    this.startedAt = performance.now();
    this.running = true;
    if (started.some((result) => result.status === "rejected")) this.pause();
    this.onchange();
  }

  hold() {
    this.playing = false;
    for (const side of SIDES) {
      this.videos[side].pause();
      this.videos[side].playbackRate = 1;
      this.seen[side].leave();
      this.heard[side].leave();
    }
  }

  pause() {
    this.wanted = false;
    const time = this.time();
    ++this.turn;
    this.hold();
    this.seek(time);
  }

  toggle() {
    if (this.wanted) this.pause();
    else this.play();
  }

  async seek(time) {
    const resume = this.wanted;
    const bounded = Math.min(Math.max(0, time), this.longer - this.step_s / 2);
    if (resume) {
      await this.play(bounded);
      return;
    }
    const turn = ++this.turn;
    this.cursor = bounded;
    this.onchange();
    await this.arrive(bounded, turn);
  }

  // Go some frames on, counted at the slower rate; both sides show the frame of that moment.
  async stepFrames(count) {
    const at = this.time();
    if (this.wanted) {
      this.wanted = false;
      ++this.turn;
      this.hold();
    }
    const frame = Math.floor(at / this.step_s + 1e-3) + count;
    const last = Math.round(this.longer / this.step_s) - 1;
    await this.seek((Math.min(Math.max(0, frame), last) + 0.5) * this.step_s);
  }

  tick() {
    if (this.stopped.signal.aborted) return;
    if (this.playing && this.running) this.keepTogether();
    this.beat = requestAnimationFrame(() => this.tick());
  }

  keepTogether() {
    const lead = this.videos[this.sound];
    const follow = this.videos[other(this.sound)];
    const reached = Math.max(lead.currentTime, follow.currentTime);
    const everyoneEnded = SIDES.every((side) => this.videos[side].ended || this.videos[side].paused);
    const since = performance.now() - this.startedAt;
    if (reached >= this.end - 0.01 || everyoneEnded) {
      this.play(0);
      return;
    }
    if (lead.paused || follow.paused || lead.seeking || follow.seeking || lead.readyState < 3 || follow.readyState < 3)
      return;
    const drift = follow.currentTime - lead.currentTime;
    if (Math.abs(drift) > JUMP_S && since > 300) {
      this.jumps += 1;
      this.play(lead.currentTime);
      return;
    }
    const change = Math.min(MOST_GAIN, Math.max(-MOST_GAIN, -GAIN * drift));
    const rate = Math.round((1 + change) * 200) / 200; // few distinct values: changing it is not free
    if (follow.playbackRate !== rate) follow.playbackRate = rate;
    if (since > SETTLE_MS && this.offsets.length < MOST_OFFSETS) this.offsets.push(Math.abs(drift) * 1000);
  }

  // What was watched, as the server wants to know it.
  evidence() {
    const sorted = [...this.offsets].sort((a, b) => a - b);
    const at = (share) => (sorted.length ? sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] : 0);
    const dropped = SIDES.map((side) => this.videos[side].getVideoPlaybackQuality?.().droppedVideoFrames ?? 0);
    return {
      left_seen_s: this.seen.left.seconds(),
      right_seen_s: this.seen.right.seconds(),
      left_heard_s: this.heard.left.seconds(),
      right_heard_s: this.heard.right.seconds(),
      offset_p50_ms: at(0.5),
      offset_p95_ms: at(0.95),
      plays: this.plays,
      dropped_frames: dropped[0] + dropped[1],
    };
  }

  // For going on after a reload.
  kept() {
    const marks = (covers) => Object.fromEntries(SIDES.map((side) => [side, [...covers[side].marks]]));
    return { seen: marks(this.seen), heard: marks(this.heard) };
  }

  dispose() {
    this.stopped.abort();
    ++this.turn;
    cancelAnimationFrame(this.beat);
    for (const side of SIDES) release(this.videos[side]);
  }
}

// Give back decoder and memory; a forgotten element would keep both.
export function release(video) {
  video.pause();
  video.removeAttribute("src");
  video.load();
  video.remove();
}
