/** How amounts and times are said. */

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
const SPANS: [number, string][] = [
  [86_400, 'd'],
  [3600, 'h'],
  [60, 'min'],
  [1, 's']
];

/** A size with its unit, three digits at most: `1.5 GiB`. */
export function bytes(size: number): string {
  const step = unit(size);
  return `${digits(size / 1024 ** step)} ${UNITS[step]}`;
}

/** What is used of a limit, both in the limit's unit: `0.3 of 1 GiB`. */
export function part(used: number, limit: number, between = ' of '): string {
  const step = unit(limit);
  const [first, second] = [used, limit].map(size => digits(size / 1024 ** step));
  return `${first}${between}${second} ${UNITS[step]}`;
}

function unit(size: number): number {
  const found = UNITS.findIndex((_, step) => size < 1024 ** (step + 1));
  return found < 0 ? UNITS.length - 1 : found;
}

/** A number with two decimals below one, one below ten, and none where it says nothing. */
export function digits(value: number): string {
  const scale = value < 0.995 ? 100 : value < 9.95 ? 10 : 1;
  return String(Math.round(value * scale) / scale);
}

/** `1 file`, `2 files`. */
export function count(number: number, what: string): string {
  return `${number.toLocaleString('en')} ${what}${number === 1 ? '' : 's'}`;
}

/** So many seconds in their two largest parts, rounded down: `2 h`, `1 h 30 min`, `40 s`. */
export function span(seconds: number): string {
  let left = Math.max(0, Math.floor(seconds));
  const parts = SPANS.map(([size, name]) => {
    const number = Math.floor(left / size);
    left %= size;
    return { number, name };
  });
  const first = parts.findIndex(({ number }) => number > 0);
  const told = first < 0 ? parts.slice(-1) : parts.slice(first, first + 2);
  return told
    .filter(({ number }, index) => number || !index)
    .map(({ number, name }) => `${number} ${name}`)
    .join(' ');
}

/** A time of day here, with its date where that is not today's: `at 14:32`. */
export function at(told: string, now = new Date()): string {
  const then = new Date(told);
  return then.toDateString() === now.toDateString()
    ? `at ${then.toLocaleTimeString(undefined, { timeStyle: 'short' })}`
    : `on ${then.toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'short' })}`;
}

/** How long ago that was, in its two largest parts: `2 h 5 min ago`. */
export function ago(since: Date, now = new Date()): string {
  const minutes = Math.max(0, Math.floor((now.getTime() - since.getTime()) / 60_000));
  const [days, hours] = [Math.floor(minutes / 1440), Math.floor((minutes % 1440) / 60)];
  if (days) {
    return `${days} d ${hours} h ago`;
  }
  if (hours) {
    return `${hours} h ${minutes % 60} min ago`;
  }
  return minutes ? `${minutes} min ago` : 'less than a minute ago';
}
