// Small building blocks for elements. User text goes in as text nodes only, never as markup.

export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

export function button(label, attributes = {}, onclick = null, signal = undefined) {
  const node = el("button", { type: "button", ...attributes }, label);
  if (onclick) node.addEventListener("click", onclick, { signal });
  return node;
}

// Random text for idempotency keys; works on plain http too, where randomUUID does not exist.
export function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export function percent(share) {
  return `${Math.floor(Math.min(1, share) * 100 + 1e-6)}%`;
}
