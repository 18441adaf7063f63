// The hub's time: a browser's clock may be wrong, and what is told counts from the hub's.

let ahead = 0;

/** Takes the time that an answer was made at, in ISO 8601. */
export const heard = (iso) => {
  ahead = Date.parse(iso) - Date.now();
};

/** Now, in milliseconds since 1970. */
export const now = () => Date.now() + ahead;
