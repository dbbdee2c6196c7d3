// Which quarter-seconds of a clip were shown or heard. Looping and going back add nothing.

const QUARTER_S = 0.25;
// A frame that stood longer than this did not show the clip moving.
const LONGEST_GAP_S = 0.5;

export class Coverage {
  constructor(duration, marks = []) {
    this.duration = duration;
    this.quarters = Math.max(1, Math.ceil(duration / QUARTER_S - 1e-6));
    this.marks = new Set(marks.filter((mark) => Number.isInteger(mark) && mark >= 0 && mark < this.quarters));
    this.last = null;
  }

  // The clip stands at `time` while it plays.
  reach(time) {
    const from = this.last !== null && time >= this.last && time - this.last <= LONGEST_GAP_S ? this.last : time;
    const first = Math.max(0, Math.floor(from / QUARTER_S));
    const last = Math.min(this.quarters - 1, Math.floor(time / QUARTER_S));
    for (let mark = first; mark <= last; mark += 1) this.marks.add(mark);
    this.last = time;
  }

  // The clip stopped, jumped or fell silent.
  leave() {
    this.last = null;
  }

  seconds() {
    let total = 0;
    for (const mark of this.marks) total += Math.min(QUARTER_S, this.duration - mark * QUARTER_S);
    return Math.max(0, total);
  }

  share() {
    return this.duration > 0 ? Math.min(1, this.seconds() / this.duration) : 1;
  }
}
