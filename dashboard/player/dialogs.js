// Help and flag: dialogs of the browser's own kind, which keep focus inside and close by Escape.

import { button, el } from "./dom.js";

const KEYS = [
  ["Space", "play or pause both clips"],
  ["← →", "one frame back or on; with Shift one second"],
  ["1 2 3", "left better, same, right better; goes on to the next open row"],
  ["0", "can't judge this row"],
  ["↑ ↓", "choose a row"],
  ["a d", "hear the left or the right clip"],
  ["w", "change the view, where more than one is offered"],
  ["Enter", "submit"],
  ["u", "take back the last answer"],
  ["f", "flag a problem with this pair"],
  ["?", "this help"],
];

const FLAGS = {
  broken_file: "A clip does not play or is damaged",
  no_sound: "Sound is missing",
  wrong_case: "A clip belongs to another picture, speech or text",
  unsafe: "Unsafe or disturbing",
  other: "Something else",
};

export function helpDialog(campaign, signal) {
  const close = button("Close", { autofocus: true }, () => dialog.close(), signal);
  const dialog = el(
    "dialog",
    { "aria-label": "Help" },
    el("h2", {}, "Help"),
    el("p", {}, "Compare the two clips row by row. They were made from the picture, the speech and the text below them. Submit opens when every row is answered and both clips were watched and heard."),
    el("dl", { class: "questions" }, ...campaign.dimensions.flatMap((d) => [el("dt", {}, d.title), el("dd", {}, d.question)])),
    el("dl", { class: "keys" }, ...KEYS.flatMap(([key, meaning]) => [el("dt", {}, key), el("dd", {}, meaning)])),
    campaign.five_steps ? el("p", {}, "This campaign asks how much better: 1 to 5, from left much better to right much better.") : null,
    campaign.contact ? el("p", {}, `Questions? ${campaign.contact}`) : null,
    close,
  );
  return dialog;
}

export function flagDialog(reasons, signal, onflag) {
  const choices = reasons.map((reason, index) => {
    const input = el("input", { type: "radio", name: "reason", value: reason, checked: index === 0 });
    return { input, label: el("label", {}, input, ` ${FLAGS[reason] ?? reason}`) };
  });
  const comment = el("textarea", { rows: 2, maxlength: 2000, "aria-label": "Comment, optional", placeholder: "Comment (optional)" });
  const send = () => {
    const chosen = choices.find((choice) => choice.input.checked);
    dialog.close();
    onflag(chosen.input.value, comment.value);
    comment.value = "";
  };
  const dialog = el(
    "dialog",
    { "aria-label": "Flag this pair" },
    el("h2", {}, "What is wrong with this pair?"),
    el("fieldset", {}, el("legend", {}, "Reason"), ...choices.map((choice) => choice.label)),
    comment,
    el("div", { class: "actions" }, button("Flag and go on", { class: "primary" }, send, signal), button("Cancel", {}, () => dialog.close(), signal)),
  );
  return dialog;
}
