/** Tabs of the browser's. */

/**
 * A tab for what has an address of its own: many apps refuse to be shown inside another page. To
 * be called at once: a browser lets a page open tabs only while it handles a click.
 */
export function tab(): Window {
  const made = window.open('about:blank', '_blank');
  if (!made) {
    throw new Error('The browser opened no tab. Allow pop-ups for this page.');
  }
  made.opener = null;
  return made;
}
