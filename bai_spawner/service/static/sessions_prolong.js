// More time for a session that is to end, where its policy allows it (R53).

import { now } from "./sessions_clock.js";
import { duration, moment } from "./sessions_words.js";

const unused = ({ idle }) => `It may be unused for ${duration(idle.timeout)} from now.`;
const longer = ({ lifetime }) => `It ends at ${moment(lifetime.ends, now())} at the latest.`;

/** Asks for it; resolves to the time that the session has then, or to null when it was refused. */
export const prolong = async ({ id, name }, what, { service, notice }) => {
  try {
    const { time } = await service.post(`api/sessions/${encodeURIComponent(id)}/extend`, { what });
    const until = time ? (what === "idle" ? unused : longer)(time) : "";
    notice.tell({ text: `${name} goes on. ${until}` });
    return { time };
  } catch (error) {
    notice.tell({ text: `${name} was not prolonged.`, lines: [error.message] });
    return null;
  }
};
