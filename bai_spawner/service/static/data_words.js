// What the Data page says, in words. Pure.

import { clock, counted, size } from "./sessions_words.js";

export const PERMISSIONS = { rw: "read and write", ro: "read only" };
const RECENT_MS = 60_000;

/** A count with what it leaves open: "at least" where it was cut off. */
const least = ({ more }, text) => (more ? `at least ${text}` : text);

const capital = (text) => `${text.charAt(0).toUpperCase()}${text.slice(1)}`;

/** Whether a folder's size is still to be counted. */
export const isUncounted = ({ exists, measured }) => exists && measured === null;

/** The room that a folder takes, and below it the number of its files. */
export const sizeOf = (folder) => {
  if (!folder.exists) return ["–", ""];
  if (isUncounted(folder)) return ["being counted…", ""];
  if (folder.size === null) return ["not known", ""];
  return [least(folder, size(folder.size)), least(folder, counted(folder.files, "file"))];
};

/** When it was counted; the page says it where it matters. */
export const countedAt = ({ measured }) =>
  (measured ? `counted at ${clock(new Date(measured))}` : "");

/** What stands below a folder's name. */
export const noteOf = ({ automatic, exists, kind }) => {
  if (automatic) return exists ? "mounted at every launch" : "made and mounted at your next launch";
  if (exists) return "";
  return kind === "group" ? "made when it is first mounted" : "made at your next launch";
};

/** What is lost with a folder. */
export const lossOf = (folder, now) => {
  const { files, measured, more } = folder;
  if (measured === null) return "How much is in it has not been counted yet; all of it is deleted.";
  if (files === null) return "How much is in it cannot be counted; all of it is deleted.";
  const isOld = now - Date.parse(measured) > RECENT_MS;
  if (!files && !more) {
    return isOld ? `It had no files when it was ${countedAt(folder)}.` : "It has no files.";
  }
  const much = least(folder, `${size(folder.size)} in ${counted(files, "file")}`);
  const when = isOld ? `, as ${countedAt(folder)},` : "";
  return `${capital(much)}${when} ${files === 1 ? "is" : "are"} deleted.`;
};

/** A session as who looks knows it. */
export const sessionOf = ({ name, user }, me) => (user === me ? name : `${name} of ${user}`);

/** Why a name is not taken, without the field that it stands at. */
export const wordOf = ({ message }) => `${capital(message.replace(/^name: /, ""))}.`;

/** How many folders of how many. */
export const countOf = ({ own, most }) => `${counted(own, "own folder")}, ${most} at most`;
