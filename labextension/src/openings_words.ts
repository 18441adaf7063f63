/** What is said of an opened app. */

import type { Opening } from './api';
import { at, bytes } from './units';

/** Who can reach it. */
export function whom({ public: isPublic, allowed, password, expires }: Opening): string {
  if (!isPublic) {
    return 'Private: you, and whom you shared the session with';
  }
  const from = allowed.length ? ` from ${allowed.join(', ')}` : '';
  const by = password ? ' with the password' : '';
  const end = expires ? `, it ends ${at(expires)}` : '';
  return `Public: everybody${from}${by}${end}`;
}

/** Since when it is open, and how it was used. */
export function used({ opened, last_used: last, bytes_out: sent }: Opening): string {
  const use = last ? `used last ${at(last)}, ${bytes(sent)} sent` : 'not used yet';
  return `Opened ${at(opened)}, ${use}`;
}

/** An address of the web, or nothing: it comes from elsewhere, and a script is an address, too. */
export function address(told: string): string {
  try {
    const url = new URL(told);
    return url.protocol === 'http:' || url.protocol === 'https:' ? url.href : '';
  } catch {
    return '';
  }
}
