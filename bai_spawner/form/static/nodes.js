// What each node and device of a resource group has free, where there is more to tell than the
// one line of the group: several nodes, or a GPU.

import { make } from "./dom.js";

const GIB = 2 ** 30;
const gib = (bytes) => `${Number((bytes / GIB).toFixed(1))} GiB`;

const deviceLine = ({ device, free, total }) =>
  make(
    "li",
    {},
    make("span", {}, `${device}: ${free} of ${total} fGPU`),
    make("meter", { min: 0, max: total, value: free, "aria-label": `Free of ${device}` }),
  );

const nodeLine = ({ node, cpu, memory, devices }) => {
  const line = make("li", {}, `${node}: ${cpu} CPU, ${gib(memory)} RAM`);
  if (devices.length) line.append(make("ul", {}, ...devices.map(deviceLine)));
  return line;
};

/** Shows them below `about`, a group's description, in place of what was shown there. */
export const drawNodes = (about, nodes) => {
  const old = about.parentElement.querySelector(".bai-nodes");
  if (old) old.remove();
  if (nodes.length < 2 && !nodes.some(({ devices }) => devices.length)) return;
  about.after(make("ul", { class: "bai-nodes", "aria-label": "Free now" }, ...nodes.map(nodeLine)));
};
