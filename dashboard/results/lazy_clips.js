// Pictures of clips that become videos when somebody asks: nothing of a clip is loaded before that.

const mounted = new WeakMap();

function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== false && value !== null) node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children);
  return node;
}

function play(clip, place) {
  const video = el("video", { src: clip.url, controls: true, playsinline: true, poster: clip.poster || null, "aria-label": clip.system });
  video.addEventListener("error", () => {
    const why = "This clip cannot be played here; ingest it again with --proxies.";
    place.replaceChildren(el("p", { role: "alert" }, why));
  });
  place.replaceChildren(video);
  video.focus();
  video.play().catch(() => {}); // a browser may want another click; the controls are there
}

function figure(clip) {
  const place = el("div", { class: "place" });
  if (!clip.url) place.append(el("p", {}, "no clip"));
  else {
    const picture = clip.poster ? el("img", { src: clip.poster, loading: "lazy", alt: "" }) : el("span", { class: "blank" });
    const button = el("button", { type: "button", title: `Play ${clip.system}`, "aria-label": `Play ${clip.system}` }, picture, el("span", { class: "sign", "aria-hidden": "true" }, "▶"));
    button.addEventListener("click", () => play(clip, place));
    place.append(button);
  }
  return el("figure", {}, place, el("figcaption", { title: clip.system }, clip.system));
}

export default function ({ data, parentElement }) {
  const root = parentElement.querySelector(".clips");
  const told = JSON.stringify(data);
  if (mounted.get(parentElement) === told) return undefined; // a clip that plays goes on
  mounted.set(parentElement, told);
  root.replaceChildren(
    el("div", { class: "strip", "data-count": Math.min(data.clips.length, 3) }, ...data.clips.map(figure)),
    ...(data.compare ? [el("a", { href: data.compare }, "Open in Compare")] : []),
  );
  return () => {
    for (const video of root.querySelectorAll("video")) {
      video.pause();
      video.removeAttribute("src");
      video.load();
    }
    mounted.delete(parentElement);
  };
}
