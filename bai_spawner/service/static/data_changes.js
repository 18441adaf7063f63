// Makes, renames and deletes folders, once their user said what they want (R40, R41).
//
// What may be done is the service's to say; here is only told what it said. Nothing brings a
// deleted folder back, so the question says so, with how much goes.

import { lossOf, sessionOf, wordOf } from "./data_words.js";
import { ask } from "./dialog.js";
import { make } from "./dom.js";
import { askName } from "./naming.js";
import { counted } from "./sessions_words.js";

const UNKNOWN = 404;
const path = (name) => `api/folders/${encodeURIComponent(name)}`;
const FINAL = "There is no way back.";

/**
 * What can be done. `listing()` is what the page shows, `refresh()` has it asked for anew and
 * resolves to whether it was; `notice` is told what was done, `focusOn(name)` moves the focus.
 */
export const makeChanges = ({ service, base, listing, refresh, notice, focusOn }) => {
  const find = (name) => listing().folders.find((folder) => folder.name === name);
  const toSessions = () => make("a", { class: "alert-link", href: base }, "Sessions");

  /** The folder as it is now; null, and it is said, where it cannot be changed. */
  const freeToChange = async (name, what) => {
    await refresh();
    const folder = find(name);
    if (!folder) {
      notice.tell({ text: `“${name}” is not there any more.` });
      focusOn(name);
      return null;
    }
    if (!folder.sessions.length) return folder;
    const who = folder.sessions.map((one) => sessionOf(one, service.user)).join(", ");
    notice.tell({
      text: `“${name}” cannot be ${what} while a session mounts it.`,
      lines: [`It is mounted by ${who}. End what mounts it first.`],
      links: [toSessions()],
    });
    return null;
  };

  const create = async () => {
    const { own, most, rule } = listing();
    if (own >= most) {
      const text = `You have ${counted(own, "folder")}, and may not have more.`;
      notice.tell({ text, lines: ["Delete one first."] });
      return;
    }
    const name = await askName({
      title: "Create a folder",
      yes: "CREATE",
      about: rule,
      word: wordOf,
      save: (wanted) => service.post("api/folders", { name: wanted }),
    });
    if (name === null) return;
    await refresh();
    const launch = `${base}launch#${new URLSearchParams({ [`mount:${name}`]: "rw" })}`;
    notice.tell({
      text: `Created “${name}”. Mount it when you launch a session.`,
      links: [make("a", { class: "alert-link", href: launch }, "Launch a session with it")],
    });
    focusOn(name);
  };

  const rename = async (name) => {
    if (!await freeToChange(name, "renamed")) return;
    const save = async (wanted) => {
      if (wanted !== name) await service.patch(path(name), { name: wanted });
    };
    const { rule } = listing();
    const wanted = await askName({
      title: `Rename “${name}”`, value: name, yes: "RENAME", about: rule, word: wordOf, save,
    });
    if (wanted === null || wanted === name) return;
    await refresh();
    notice.tell({ text: `“${name}” is now called “${wanted}”.` });
    focusOn(wanted);
  };

  const remove = async (name) => {
    const folder = await freeToChange(name, "deleted");
    if (!folder) return;
    const isMeant = await ask({
      title: `Delete “${name}”?`,
      text: lossOf(folder, Date.now()),
      more: [make("p", {}, make("strong", {}, FINAL), " Nobody can restore what was deleted.")],
      yes: "DELETE",
      danger: true,
    });
    if (!isMeant) return;
    try {
      await service.remove(path(name));
      notice.tell({ text: `Deleted “${name}”.` });
    } catch (error) {
      // an answer that was lost on its way is asked for again, and then it is gone
      if (error.status === UNKNOWN) notice.tell({ text: `“${name}” is not there any more.` });
      else notice.tell({ text: `“${name}” was not deleted.`, lines: [wordOf(error)] });
    }
    await refresh();
    focusOn(name);
  };

  /** A press while another is being looked into is none: dialogs would stand on each other. */
  let isBusy = false;
  const alone = (change) => async (name) => {
    if (isBusy) return;
    isBusy = true;
    try {
      await change(name);
    } finally {
      isBusy = false;
    }
  };
  return { create: alone(create), rename: alone(rename), delete: alone(remove) };
};
