// What superadmins see of the whole: groups, nodes, and devices with the sessions on each. It is
// asked for while the panel is open, and the browser remembers whether it was.

import { makeBar } from "./bars.js";
import { make, write } from "./dom.js";
import { remembered } from "./remembered.js";
import { counted, size } from "./sessions_words.js";

const OPEN = "open";

const bar = (told) => {
  const made = makeBar();
  made.draw(told);
  return made.element;
};
const fine = (...children) => make("p", { class: "bai-fine" }, ...children);
const card = (title, ...children) => make("li", { class: "bai-card" }, make("h3", {}, title), ...children);
const cards = (...children) => make("ul", { class: "bai-cards" }, ...children);
const cores = (count) => counted(count, "core");

/** Taken and free of something, each said by `say`; `about` is whose it is. */
const shared = (name, about, { allocated, free }, say) => bar({
  name,
  about: `${name} of ${about}`,
  words: `${say(allocated)} allocated · ${say(free)} free`,
  parts: [Number(allocated)],
  whole: Number(allocated) + Number(free),
});

const onGroup = ({ title, nodes, sessions, cpu, memory, fgpu }) => {
  const parts = [
    fine(`${nodes.join(", ")} · ${counted(sessions, "session")}`),
    shared("CPU", title, cpu, cores),
    shared("Memory", title, memory, size),
  ];
  if (Number(fgpu.allocated) + Number(fgpu.free) > 0) {
    parts.push(shared("fGPU", title, fgpu, String), fine(`Largest free share: ${fgpu.largest} fGPU`));
  }
  return card(title, ...parts);
};

// ---- devices
/** A link to the session in the list below. */
const onSession = ({ name, user, fgpu }) => {
  const query = new URLSearchParams({ tab: "running", user, text: name });
  const link = make("a", { href: `?${query}` }, name);
  return make("li", {}, link, ` of ${user} · ${fgpu} fGPU`);
};
const memoryOf = ({ title, memory, used_memory: used }) => bar({
  name: "Memory",
  about: `Memory of ${title}`,
  words: used === null ? `${size(memory)}, use not measured` : `${size(used)} used · ${size(Math.max(0, memory - used))} free`,
  parts: used === null ? [] : [used],
  whole: used === null ? null : memory,
});
const onDevice = (one) => {
  const { device, title, isolation, note, total, free, allocated, largest, utilization, sessions } = one;
  const parts = [
    fine(make("code", {}, device), ` · ${isolation || "no isolation"}`),
    bar({
      name: "fGPU",
      about: `fGPU of ${title}`,
      words: `${allocated} of ${total} allocated · ${free} free`,
      parts: sessions.map(({ fgpu }) => Number(fgpu)),
      whole: Number(total),
    }),
    fine(`Largest free share: ${largest} fGPU`),
  ];
  if (note) parts.push(make("p", { class: "bai-card-note" }, `Nothing is handed out: ${note}`));
  parts.push(
    memoryOf(one),
    fine(utilization === null ? "Utilisation not measured" : `Utilisation ${utilization} %`),
    sessions.length
      ? make("ul", { class: "bai-card-sessions", "aria-label": `Sessions on ${device}` }, ...sessions.map(onSession))
      : fine("No session is on it."),
  );
  return card(title, ...parts);
};

const onNode = ({ node, cpu, memory, sessions, devices }) => make(
  "section",
  { "aria-label": `Node ${node}` },
  make("h2", { class: "h6" }, `Node ${node}`),
  make(
    "div",
    { class: "bai-node" },
    shared("CPU", node, cpu, cores),
    shared("Memory", node, memory, size),
    fine(`${counted(sessions, "session")} · ${devices.length ? counted(devices.length, "device") : "no GPU"}`),
  ),
  devices.length ? cards(...devices.map(onDevice)) : "",
);

/** The same link as had the focus, where it is still there. */
const keepFocus = (body, change) => {
  const focused = document.activeElement;
  const href = body.contains(focused) ? focused.getAttribute("href") : null;
  change();
  if (href !== null) [...body.querySelectorAll("a")].find((link) => link.getAttribute("href") === href)?.focus();
};

/** Fills the place; `refresh()` asks for the numbers again, where somebody looks at them. */
export const showWhole = (place, service) => {
  const trouble = make("p", { class: "bai-statistics-trouble", hidden: true });
  const body = make("div", {});
  const panel = make("details", { class: "bai-whole" }, make("summary", {}, "The whole"), trouble, body);
  let shown = "";

  const draw = ({ nodes, groups }) => {
    const is = JSON.stringify([nodes, groups]);
    if (shown === is) return;
    shown = is;
    keepFocus(body, () => body.replaceChildren(
      make("h2", { class: "h6" }, "Resource groups"),
      cards(...groups.map(onGroup)),
      ...nodes.map(onNode),
    ));
  };
  const refresh = async () => {
    if (!panel.open) return;
    try {
      draw(await service.get("api/whole"));
      trouble.hidden = true;
    } catch ({ message }) {
      write(trouble, shown ? `These numbers may be old: ${message}.` : `The whole cannot be shown now: ${message}.`);
      trouble.hidden = false;
    }
  };
  const kept = remembered("bai-whole");
  panel.addEventListener("toggle", () => {
    kept.write(panel.open ? OPEN : "closed");
    refresh();
  });
  panel.open = kept.read() === OPEN;
  place.replaceChildren(panel);
  return { refresh };
};
