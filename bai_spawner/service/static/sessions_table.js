// The list as a file for a spreadsheet: all that is asked for, and not its one page alone.

import { byId, make, write } from "./dom.js";
import { toService } from "./sessions_question.js";

const NAME = "sessions.csv";
const button = byId("bai-csv");
const label = button.querySelector("span");

/** Hands a file to the browser, which keeps it where it keeps files. */
const keep = (content) => {
  const address = URL.createObjectURL(content);
  const link = make("a", { href: address, download: NAME, hidden: true });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
};

/** `question()` is what is asked for now. */
export const prepareTable = (service, { question, notice }) => {
  button.addEventListener("click", async () => {
    button.disabled = true;
    write(label, "Preparing…");
    try {
      const path = `api/sessions.csv${toService(question(), { whole: true })}`;
      const answer = await service.open(path, new AbortController().signal);
      keep(await answer.blob());
    } catch (error) {
      const lines = [`${error.message}. Try again.`];
      notice.tell({ text: "The list was not downloaded.", lines });
    }
    write(label, "CSV");
    button.disabled = false;
  });
};
