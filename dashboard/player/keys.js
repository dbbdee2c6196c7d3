// Keys of the rating page. They are taken before the surrounding page sees them, and left alone in text
// fields, and on focused controls where space and Enter press the control.

const OWN_KEYS = new Set(["r", "c"]); // the surrounding page would rerun or clear its cache

export function bindKeys(actions, signal) {
  const handle = (event) => {
    const target = event.composedPath()[0];
    const tag = target?.tagName ?? "";
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    const typing = tag === "TEXTAREA" || tag === "SELECT" || target?.isContentEditable ||
      (tag === "INPUT" && !["range", "button"].includes(target.type));
    if (typing) {
      const leaves = event.key === "Escape" || (event.key === "Enter" && tag === "INPUT");
      const inside = event.composedPath().some((node) => node.tagName === "DIALOG");
      if (event.type === "keydown" && leaves && !inside) actions.leaveField();
      if (event.key !== "Escape") event.stopImmediatePropagation();
      return;
    }
    if (event.composedPath().some((node) => node.tagName === "DIALOG")) {
      if (event.key.length === 1) event.stopImmediatePropagation();
      return;
    }
    const presses = ["BUTTON", "A", "SUMMARY", "AUDIO"].includes(tag);
    if (presses && (event.key === " " || event.key === "Enter")) return;
    if (tag === "INPUT" && event.key.startsWith("Arrow")) return; // a slider moves by arrows
    const name = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const action = actions[event.shiftKey && name.startsWith("Arrow") ? `Shift+${name}` : name];
    if (!action && !OWN_KEYS.has(name)) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    if (event.type === "keydown" && action) action(event);
  };
  globalThis.addEventListener("keydown", handle, { capture: true, signal });
  globalThis.addEventListener("keyup", handle, { capture: true, signal });
}
