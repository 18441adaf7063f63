/** What is said of the time that the session has. */

import type { Time } from './api';
import type { TimeLeft } from './time_left';
import { at, span } from './units';

export const KEEP = 'Keep it running';
export const UNKNOWN = 'Time left unknown';

const LOST = 'What is outside folders is deleted then.';

/**
 * Why the session ends, and when. It says the time of day, and not how long that is: so it is
 * read out once, and not again each minute.
 */
export function warning({ why, idle }: Time, ends: string): string {
  return why === 'idle' && idle?.since
    ? `This session ends ${at(ends)}: it was last used ${at(idle.since)}. ${LOST}`
    : `This session ends ${at(ends)}, even if it is used. ${LOST}`;
}

/** How long it has, in a few words; empty: nothing ends it as it is. */
export function brief({ ends, why }: Time, left: TimeLeft): string {
  if (!ends) {
    return '';
  }
  return `${why === 'idle' ? 'Not used: ' : ''}${left.until(ends)} left`;
}

/** All that is known of it, a limit in a sentence or two. */
export function sentences(time: Time, left: TimeLeft): string[] {
  return [unused(time, left), inAll(time, left)].filter(Boolean);
}

/** What the button says that puts off the end of its lifetime; empty: nothing does. */
export function extension({ lifetime }: Time): string {
  return lifetime?.extend && lifetime.left ? `Extend by ${span(lifetime.extend)}` : '';
}

function unused({ ends, why, idle }: Time, left: TimeLeft): string {
  if (!idle) {
    return '';
  }
  const limit = `It ends after ${span(idle.timeout)} without use.`;
  if (!idle.known) {
    return `${limit} When it was last used is not known now, so it goes on.`;
  }
  if (!idle.since) {
    return `${limit} Something runs in it now.`;
  }
  const end = ends && why === 'idle' ? `, and ends ${at(ends)}, in ${left.until(ends)}` : '';
  return `${limit} It was last used ${at(idle.since)}${end}.`;
}

function inAll({ ends, why, lifetime }: Time, left: TimeLeft): string {
  if (!lifetime) {
    return '';
  }
  const end = why === 'lifetime' && ends ? ends : lifetime.ends;
  const limit = `It ends ${at(end)}, in ${left.until(end)}, even if it is used.`;
  if (!lifetime.extend) {
    return limit;
  }
  const times = lifetime.left === 1 ? 'once more' : `${lifetime.left} more times`;
  return lifetime.left
    ? `${limit} That can be put off by ${span(lifetime.extend)}, ${times}.`
    : `${limit} That cannot be put off again.`;
}
