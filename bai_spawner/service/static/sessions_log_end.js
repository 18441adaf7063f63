// The end of what a session printed, as text: whoever wants to read on has the log's own page.

import { make } from "./dom.js";

const LINES = 20;
const LONGEST = 16_384;
// what colours and moves on a terminal (ECMA-48), and is nothing to read
const SEQUENCES = /\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-~])/g;
const UNPRINTABLE = /[\x00-\x08\x0b-\x1f\x7f]/g;

const end = (text) => {
  const last = text.slice(-LONGEST).replace(/\r\n/g, "\n");
  const plain = last.replace(SEQUENCES, "").replace(UNPRINTABLE, "");
  return plain.trimEnd().split("\n").slice(-LINES).join("\n");
};

/** An element that shows it as soon as it was read; a log that cannot be had is no empty one. */
export const endOfLog = (service, id) => {
  const about = make("p", { class: "bai-fine" }, "Asking…");
  const text = make("pre", {
    class: "bai-log-end",
    tabindex: "0",
    role: "region",
    "aria-label": "End of its log",
    hidden: true,
  });
  const fill = async () => {
    try {
      const path = `api/sessions/${encodeURIComponent(id)}/log`;
      const answer = await service.open(path, new AbortController().signal);
      const read = end(await answer.text());
      const isKept = answer.headers.get("X-Bai-Log") !== "none";
      about.textContent = isKept ? "It printed nothing." : "None was kept.";
      about.hidden = read !== "";
      text.textContent = read;
      text.hidden = read === "";
      text.scrollTop = text.scrollHeight;
    } catch (error) {
      about.textContent = `It cannot be shown now: ${error.message}.`;
    }
  };
  fill();
  return make("section", {}, make("h3", { class: "h6" }, "End of its log"), about, text);
};
