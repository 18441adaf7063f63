// What is said of an opened app: to whom it is open, and how it was used.

import { moment, size } from "./sessions_words.js";

/** Who can reach it. */
export const whom = ({ public: isPublic, allowed, password, expires }, now) => {
  if (!isPublic) return "Private: its user, and whom they shared the session with";
  const from = allowed.length ? ` from ${allowed.join(", ")}` : "";
  const by = password ? " with the password" : "";
  const end = expires ? `, until ${moment(expires, now)}` : "";
  return `Public: everybody${from}${by}${end}`;
};

/** When it was used last, and how much was sent. */
export const used = ({ last_used: last, bytes_out: bytes }, now) =>
  last ? `used ${moment(last, now)}, ${size(bytes)} sent` : "not used yet";
