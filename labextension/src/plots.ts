/** Bars and small plots, each with words that say the same. */

import { el, svg } from './dom';

const [WIDTH, HEIGHT] = [200, 40];

/** A bar; from `high` of its limit on it is in the warning colour. */
export function bar(
  name: string,
  used: number,
  limit: number,
  told: string,
  high = 0.9
): HTMLElement {
  const share = limit > 0 ? Math.min(1, used / limit) : 0;
  const fill = el('div', { class: 'bai-bar-fill' });
  fill.style.width = `${(share * 100).toFixed(1)}%`;
  const attributes = {
    class: share >= high ? 'bai-bar bai-mod-warning' : 'bai-bar',
    role: 'meter',
    'aria-label': name,
    'aria-valuemin': '0',
    'aria-valuemax': '100',
    'aria-valuenow': (share * 100).toFixed(0),
    'aria-valuetext': told
  };
  return el('div', attributes, fill);
}

/**
 * The last minutes of one amount, against its limit.
 *
 * @param at when each value was taken, in seconds; the oldest first.
 * @param values null where there was none.
 * @param said how a value is said.
 */
export function plot(
  name: string,
  at: number[],
  values: (number | null)[],
  limit: number,
  said: (value: number) => string
): Element {
  const known = values.filter(value => value !== null);
  if (known.length < 2) {
    return el('p', { class: 'bai-plot-none' }, 'The history begins now.');
  }
  const [first, last] = [at[0]!, at[at.length - 1]!];
  const top = Math.max(limit, ...known) || 1;
  const points = values.flatMap((value, index) => {
    const x = ((at[index]! - first) / Math.max(1, last - first)) * WIDTH;
    return value === null ? [] : [`${x.toFixed(1)},${(HEIGHT * (1 - value / top)).toFixed(1)}`];
  });
  const minutes = Math.max(1, Math.round((last - first) / 60));
  const told =
    `${name}, the last ${minutes === 1 ? 'minute' : `${minutes} minutes`}: from ` +
    `${said(Math.min(...known))} to ${said(Math.max(...known))}, now ${said(known.at(-1)!)}`;
  const drawn = svg(
    'svg',
    {
      class: 'bai-plot',
      viewBox: `0 -1 ${WIDTH} ${HEIGHT + 2}`,
      preserveAspectRatio: 'none',
      role: 'img',
      'aria-label': told
    },
    svg('polyline', {
      points: points.join(' '),
      fill: 'none',
      'vector-effect': 'non-scaling-stroke'
    })
  );
  return el('div', { title: told }, drawn);
}
