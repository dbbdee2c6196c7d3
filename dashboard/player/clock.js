// How long somebody took, without the time for which the page was in the background.

export class DecisionClock {
  constructor(signal) {
    this.start();
    document.addEventListener("visibilitychange", () => this.turn(), { signal });
  }

  // A pair is shown; `before` are seconds from an earlier visit.
  start(before = 0) {
    this.before = before;
    this.shownAt = performance.now();
    this.hiddenMs = 0;
    this.hiddenAt = document.hidden ? this.shownAt : null;
  }

  turn() {
    if (document.hidden) this.hiddenAt = performance.now();
    else if (this.hiddenAt !== null) {
      this.hiddenMs += performance.now() - this.hiddenAt;
      this.hiddenAt = null;
    }
  }

  hidden() {
    return (this.hiddenMs + (this.hiddenAt === null ? 0 : performance.now() - this.hiddenAt)) / 1000;
  }

  seconds() {
    return this.before + Math.max(0, (performance.now() - this.shownAt) / 1000 - this.hidden());
  }
}
