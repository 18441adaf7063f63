/** The plugins' icons, drawn here, in Lab's colours. */

import { LabIcon } from '@jupyterlab/ui-components';

function icon(name: string, ...paths: string[]): LabIcon {
  const drawn = paths.map(path => `<path d="${path}"/>`).join('');
  return new LabIcon({
    name: `bai-spawner:${name}`,
    svgstr:
      '<svg xmlns="http://www.w3.org/2000/svg" width="16" viewBox="0 0 24 24">' +
      `<g class="jp-icon3" fill="#616161">${drawn}</g></svg>`
  });
}

/** A box with a lid. */
export const sessionIcon = icon(
  'session',
  'M3 4h18v4H3zm1 5h16v11H4zm5 2v2h6v-2z'
);

/** Bars of different heights. */
export const usageIcon = icon('usage', 'M4 13h4v7H4zm6-9h4v16h-4zm6 5h4v11h-4z');

/** A key. */
export const sshIcon = icon(
  'ssh',
  'M7 7a5 5 0 1 0 4.6 7H15v3h3v-3h3v-4h-9.4A5 5 0 0 0 7 7zm0 3a2 2 0 1 1 0 4 2 2 0 0 1 0-4z'
);

/** A door with an arrow out of it. */
export const openingsIcon = icon(
  'openings',
  'M4 3h9v2H6v14h7v2H4zm10 4 6 5-6 5v-3.5H9v-3h5z'
);

/** Lines of text. */
export const logIcon = icon('log', 'M4 5h16v2H4zm0 4h11v2H4zm0 4h16v2H4zm0 4h8v2H4z');

/**
 * An image as an icon. It is shown as an image, never as part of the page: so nothing in it
 * runs, whoever made it.
 */
export function imageIcon(name: string, url: string): LabIcon {
  const image = document.createElementNS('http://www.w3.org/2000/svg', 'image');
  // a LabIcon decodes the whole drawing once, escapes of the address included
  image.setAttribute('href', url.replaceAll('%', '%25'));
  image.setAttribute('width', '24');
  image.setAttribute('height', '24');
  return new LabIcon({
    name: `bai-spawner:app-${name}`,
    svgstr:
      '<svg xmlns="http://www.w3.org/2000/svg" width="16" viewBox="0 0 24 24">' +
      `${new XMLSerializer().serializeToString(image)}</svg>`
  });
}

/** The icon of an app that has none. */
export const appIcon = icon('app', 'M4 4h7v7H4zm9 0h7v7h-7zm-9 9h7v7H4zm9 0h7v7h-7z');
