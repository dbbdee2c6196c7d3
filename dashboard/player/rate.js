// The rating page; long because work, answers, outbox and stage meet here alone.
//
// It asks the server for work, shows one pair at a time, and sends answers.
// Progress is what the server says. An answer counts as saved when the server has said so; until then it
// lies in the outbox. The framework calls the default function again and again without cleaning up, so the
// living page is kept and reused, or disposed when its place is gone.

import { Answers } from "./answers.js";
import { flagDialog, helpDialog } from "./dialogs.js";
import { DecisionClock } from "./clock.js";
import { button, el, newKey } from "./dom.js";
import { Drafts } from "./drafts.js";
import { bindKeys } from "./keys.js";
import { Outbox, persist, post, Refused, sleep } from "./outbox.js";
import { SIDES, release } from "./pair.js";
import { load, Stage } from "./stage.js";

const VERSION = "rate-1";
const LIVING = Symbol.for("joystreamer.rating");
const REFUSED = "Not yet:"; // how a submission that came too early is answered
const LEAST_WIDTH = 1000;
const LEAST_HEIGHT = 560;

class Rating {
  constructor(place, api) {
    this.place = place;
    this.api = api;
    this.stopped = new AbortController();
    this.signal = this.stopped.signal;
    this.queue = [];
    this.decision = new DecisionClock(this.signal);
    this.waiting = new Map(); // assignment -> videos that load ahead
    this.pair = null;
    this.busy = false;
    this.lesson = false;
    this.remembered = {}; // answers given in this visit, for undo
    this.message = el("p", { class: "message", role: "status", "aria-live": "polite" }, "Loading…");
    this.root = el("div", { class: "rating", tabindex: -1, role: "main", "aria-label": "Rate pairs of clips" }, this.message);
    place.append(this.root);
    this.leave = () => {
      this.dispose();
      if (globalThis[LIVING] === this) delete globalThis[LIVING];
    };
    this.start().catch((error) => this.fail(error));
  }

  async start() {
    if (matchMedia("(pointer: coarse)").matches && !matchMedia("(any-pointer: fine)").matches) {
      this.message.textContent = "Rating needs a computer with a keyboard: two clips have to be seen side by side and in full quality. Please open your invitation there; it has not been lost.";
      return;
    }
    const told = await this.ask();
    this.campaign = told.campaign;
    this.outbox = new Outbox(`${this.api}/vote`, told.campaign.owner, this.signal);
    this.drafts = new Drafts(told.campaign.owner);
    this.build();
    if (this.outbox.pending().length) {
      this.say("Sending an answer kept from before…");
      await this.deliver();
      await this.refill();
    } else {
      this.take(told);
    }
    this.next();
  }

  async ask() {
    for (;;) {
      const told = await persist(() => post(`${this.api}/work`, {}, this.signal), this.signal, () => this.say("No connection to the server; trying again…", "warn"));
      if (!told.preparing || this.pair) return told;
      this.say("Preparing the next clips…");
      await sleep(700, this.signal);
    }
  }

  build() {
    const { campaign, signal } = this;
    this.stage = new Stage({
      modes: campaign.modes,
      needs: { seen: campaign.min_seen, heard: campaign.min_heard },
      signal,
      onchange: () => this.gate(),
    });
    this.answers = new Answers({ dimensions: campaign.dimensions, fiveSteps: campaign.five_steps, signal, onchange: () => this.changed() });
    this.help = helpDialog(campaign, signal);
    this.flags = flagDialog(campaign.flags, signal, (reason, comment) => this.send("flag", reason, comment));
    this.bar = el("progress", { max: 1, value: 0, "aria-label": "Progress" });
    this.count = el("span", { class: "count" });
    this.practice = el("span", { class: "badge practice", hidden: true }, "Practice");
    this.image = el("img", { alt: "Reference picture" });
    this.audio = el("audio", { controls: true, preload: "none", "aria-label": "Reference speech" });
    this.prompt = el("p", { class: "prompt", tabindex: 0, "aria-label": "Text the clips should follow" });
    this.comment = el("input", { type: "text", class: "comment", maxlength: 2000, placeholder: "Comment (optional)", "aria-label": "Comment, optional" });
    this.submitButton = button("Submit", { class: "primary submit", title: "Submit (Enter)" }, () => this.submit(), signal);
    this.needed = el("span", { class: "needed" });
    const foot = el(
      "div",
      { class: "foot" },
      this.comment,
      button("Undo", { title: "Take back the last answer (u)" }, () => this.undo(), signal),
      button("Flag…", { title: "Flag a problem (f)" }, () => this.flag(), signal),
      button("Skip", { title: "Leave this pair out" }, () => this.send("skip"), signal),
      this.submitButton,
    );
    const head = el(
      "header",
      {},
      el("h1", {}, "Which side is better?"),
      campaign.simulated ? el("span", { class: "badge", title: "The votes of this campaign are scripted, not people's" }, "Simulated") : null,
      this.practice,
      this.message,
      this.count,
      this.bar,
      button("? Help", { title: "Help (?)", "aria-label": "Help" }, () => this.help.showModal(), signal),
    );
    this.work = el(
      "div",
      { class: "work" },
      this.stage.root,
      el(
        "div",
        { class: "below" },
        el("section", { class: "reference", "aria-label": "What the clips were made from" }, this.image, el("div", { class: "texts" }, this.audio, this.prompt)),
        el("div", { class: "judge" }, this.answers.root, this.needed, foot),
      ),
    );
    this.closing = el("div", { class: "closing", hidden: true });
    this.narrow = el("p", { class: "narrow" }, `Please make the window at least ${LEAST_WIDTH} × ${LEAST_HEIGHT} pixels large, so that both clips can be seen side by side.`);
    this.root.replaceChildren(head, this.work, this.closing, this.narrow, this.help, this.flags);
    // A clicked button keeps no focus, or the next space would press it again instead of playing.
    this.root.addEventListener("click", (event) => event.detail > 0 && event.target.closest("button") && !event.target.closest("dialog") && this.root.focus({ preventScroll: true }), { signal });
    for (const dialog of [this.help, this.flags]) dialog.addEventListener("close", () => this.root.focus({ preventScroll: true }), { signal });
    this.keeping = setInterval(() => this.keepDraft(), 2000);
    globalThis.addEventListener("pagehide", () => this.keepDraft(), { signal });
    bindKeys(this.keyActions(), signal);
    this.root.focus({ preventScroll: true });
  }

  keyActions() {
    const { stage, answers } = this;
    const actions = {
      " ": () => stage.pair?.toggle(),
      ArrowLeft: () => stage.pair?.stepFrames(-1),
      ArrowRight: () => stage.pair?.stepFrames(1),
      "Shift+ArrowLeft": () => stage.pair?.seek(stage.pair.time() - 1),
      "Shift+ArrowRight": () => stage.pair?.seek(stage.pair.time() + 1),
      ArrowUp: () => answers.select(answers.row - 1),
      ArrowDown: () => answers.select(answers.row + 1),
      Enter: (event) => !event.repeat && this.submit(),
      u: (event) => !event.repeat && this.undo(),
      f: () => this.flag(),
      w: () => stage.nextMode(),
      a: () => stage.hear("left"),
      d: () => stage.hear("right"),
      "?": () => this.help.showModal(),
      leaveField: () => this.root.focus({ preventScroll: true }),
    };
    for (let digit = 0; digit <= answers.steps.length; digit += 1) actions[String(digit)] = (event) => !event.repeat && this.digit(digit);
    return actions;
  }

  digit(number) {
    if (this.pair && !this.busy && !this.lesson) this.answers.digit(number);
  }

  say(text, tone = "") {
    this.message.textContent = text;
    this.message.dataset.tone = tone;
  }

  take(told) {
    this.progress(told.progress);
    this.queue = told.pairs;
    const ahead = new Set(this.queue.map((pair) => pair.assignment));
    for (const [name, videos] of this.waiting) {
      if (ahead.has(name)) continue;
      for (const side of SIDES) release(videos[side]);
      this.waiting.delete(name);
    }
    for (const pair of this.queue.slice(0, 2)) {
      if (pair.broken || this.waiting.has(pair.assignment) || pair.assignment === this.pair?.assignment) continue;
      this.waiting.set(pair.assignment, Object.fromEntries(SIDES.map((side) => [side, load(pair[side].url, side)])));
    }
  }

  refill() {
    this.refilling = this.ask().then((told) => this.take(told));
    return this.refilling;
  }

  // What the server told before an answer or an undo must not be taken for what it tells after it.
  async settled() {
    await this.refilling?.catch(() => undefined);
  }

  progress(progress) {
    this.state = progress;
    this.bar.max = Math.max(1, progress.total);
    this.bar.value = progress.done;
    this.count.textContent = `${progress.done} of ${progress.total} done`;
  }

  next() {
    const pair = this.queue[0];
    if (pair) this.show(pair);
    else this.finish();
  }

  show(pair) {
    this.stage.clear();
    this.pair = pair;
    this.lesson = false;
    const draft = this.drafts.of(pair.assignment);
    this.decision.start(draft.decision_s);
    this.work.hidden = false;
    this.closing.hidden = true;
    this.practice.hidden = !pair.training;
    this.answers.reset(draft.answers ?? this.remembered[pair.assignment] ?? {});
    this.comment.value = draft.comment ?? "";
    this.image.hidden = !pair.image;
    if (pair.image) this.image.src = pair.image;
    this.audio.hidden = !pair.audio;
    if (pair.audio) this.audio.src = pair.audio;
    else this.audio.removeAttribute("src");
    this.prompt.textContent = pair.prompt;
    this.prompt.hidden = !pair.prompt;
    if (/^(Loading|Preparing|Saved\. Practice)/.test(this.message.textContent)) this.say("");
    if (pair.broken) {
      this.say("This pair cannot be shown. Please flag or skip it.", "warn");
    } else {
      const videos = this.waiting.get(pair.assignment) ?? Object.fromEntries(SIDES.map((side) => [side, load(pair[side].url, side)]));
      this.waiting.delete(pair.assignment);
      this.stage.show(videos, { left: pair.left, right: pair.right }, draft.kept);
    }
    this.submitButton.textContent = "Submit";
    this.gate();
  }

  finish() {
    this.stage.clear();
    this.pair = null;
    this.work.hidden = true;
    this.closing.hidden = false;
    const { closed, admitted, done, total } = this.state;
    const undo = button("Undo the last answer (u)", {}, () => this.undo(), this.signal);
    const words = closed
      ? ["This campaign is finished", "It takes no more answers. Thank you for your work."]
      : !admitted
        ? ["Thank you", "There are no more pairs for you in this campaign. Everything you answered is saved."]
        : ["All done, thank you", `All ${done} of your ${total} pairs are answered and saved. You may close this page.`];
    this.closing.replaceChildren(el("h2", {}, words[0]), el("p", {}, words[1]), ...(!closed && admitted && done ? [undo] : []));
    this.say("");
  }

  missing() {
    const lacks = [];
    const open = this.answers.open();
    if (open.length) lacks.push(open.length > 2 ? `answer ${open.length} rows` : `answer ${open.join(", ")}`);
    if (this.pair?.broken) lacks.push("flag or skip this pair");
    for (const side of SIDES) lacks.push(...this.stage.missing(side));
    return lacks;
  }

  gate() {
    if (!this.pair || this.lesson) return;
    const lacks = this.missing();
    const text = lacks.length ? `To submit: ${lacks.join("; ")}` : "Ready to submit (Enter)";
    if (this.needed.textContent !== text) this.needed.textContent = text;
    if (!lacks.length && this.message.textContent.startsWith(REFUSED)) this.say("");
    this.submitButton.setAttribute("aria-disabled", String(lacks.length > 0 || this.busy));
  }

  changed() {
    this.keepDraft();
    this.gate();
  }

  keepDraft() {
    if (!this.pair || this.lesson || this.busy) return;
    const draft = {
      answers: this.answers.given,
      comment: this.comment.value,
      kept: this.stage.pair?.kept(),
      decision_s: this.decision.seconds(),
    };
    this.drafts.keep(this.pair.assignment, draft);
  }

  submit() {
    if (this.lesson) {
      this.advance();
      return;
    }
    if (!this.pair || this.busy) return;
    const lacks = this.missing();
    if (lacks.length) this.say(`${REFUSED} ${lacks.join("; ")}.`, "warn");
    else this.send("vote");
  }

  flag() {
    if (this.pair && !this.busy && !this.lesson) this.flags.showModal();
  }

  evidence() {
    return {
      ...(this.stage.pair?.evidence() ?? {}),
      decision_s: this.decision.seconds(),
      hidden_s: this.decision.hidden(),
      modes: [...this.stage.used],
      viewport: [innerWidth, innerHeight],
      client: VERSION,
    };
  }

  async send(action, flag = "", comment = this.comment.value) {
    if (!this.pair || this.busy || this.lesson) return;
    this.busy = true;
    if (this.stage.pair?.wanted) this.stage.pair.pause();
    this.gate();
    const sent = this.pair.assignment;
    this.remembered = { [sent]: { ...this.answers.given } };
    this.outbox.add({
      assignment: sent,
      action,
      client_key: newKey(),
      answers: action === "vote" ? this.answers.given : {},
      flag,
      comment,
      watch: this.evidence(),
    });
    this.say("Saving…");
    try {
      await this.settled();
      const told = await this.deliver();
      this.drafts.drop(sent);
      if (told) this.progress(told.progress);
      this.say("Saved");
      this.busy = false;
      if (told?.feedback) this.teach(told.feedback);
      else await this.advance();
    } catch (error) {
      this.busy = false;
      this.fail(error);
    }
  }

  // Send what lies in the outbox; an answer that was there already, or is too late, is no accident.
  async deliver() {
    try {
      return await this.outbox.drain(() => this.say("Not saved yet: no connection. The answer is kept in this browser and sent again…", "warn"));
    } catch (error) {
      if (error instanceof Refused && error.status === 409) return null;
      throw error;
    }
  }

  async advance() {
    this.lesson = false;
    const gone = this.pair?.assignment;
    this.queue = this.queue.filter((pair) => pair.assignment !== gone);
    const shown = this.queue[0];
    if (shown) {
      this.show(shown);
      await this.refill(); // meanwhile the next pair is being looked at, and stays while it is ours
      if (this.queue.length && !this.queue.some((pair) => pair.assignment === this.pair?.assignment)) this.next();
    } else {
      this.stage.clear();
      this.pair = null;
      await this.refill();
      this.next();
    }
  }

  teach(feedback) {
    this.lesson = true;
    this.answers.explain(feedback);
    this.needed.textContent = feedback.lesson ? `What to notice: ${feedback.lesson}` : "Compare your answers with the expected ones.";
    this.submitButton.textContent = "Continue";
    this.submitButton.setAttribute("aria-disabled", "false");
    this.say("Saved. Practice: see the expected answers, then press Enter.");
  }

  async undo() {
    if (this.busy || this.lesson || !this.campaign) return;
    if (this.outbox.pending().length) {
      this.say("The last answer is still being saved; undo it afterwards.", "warn");
      return;
    }
    this.keepDraft();
    this.busy = true;
    const key = newKey();
    try {
      await this.settled();
      const told = await persist(() => post(`${this.api}/undo`, { client_key: key }, this.signal), this.signal, () => this.say("No connection; undo is waiting…", "warn"));
      this.busy = false;
      this.progress(told.progress);
      if (!told.pair) {
        this.say("There is nothing to take back.", "warn");
        return;
      }
      this.queue = [told.pair, ...this.queue.filter((pair) => pair.assignment !== told.pair.assignment)];
      this.show(told.pair);
      this.say("Taken back; answer this pair again.");
    } catch (error) {
      this.busy = false;
      this.fail(error);
    }
  }

  fail(error) {
    if (this.signal.aborted) return;
    if (!(error instanceof Refused)) {
      this.say(`Something went wrong: ${error.message}. Reload the page; your answers are kept.`, "warn");
      return;
    }
    if (error.status === 410) {
      this.refill().then(() => this.next(), () => this.say(error.message, "warn"));
      return;
    }
    this.say(`${error.message[0].toUpperCase()}${error.message.slice(1)}.`, "warn");
  }

  dispose() {
    this.keepDraft();
    this.stopped.abort();
    clearInterval(this.keeping);
    this.stage?.dispose();
    for (const videos of this.waiting.values()) for (const side of SIDES) release(videos[side]);
    this.waiting.clear();
    this.root.remove();
  }
}

export default function mount({ parentElement, data }) {
  const living = globalThis[LIVING];
  if (living && living.place === parentElement && living.root.isConnected) return living.leave;
  living?.dispose();
  const rating = new Rating(parentElement, data?.api ?? "/api");
  globalThis[LIVING] = rating;
  return rating.leave;
}
