/** Elements in one line each. Text is always text: nothing here parses HTML. */

import { Clipboard } from '@jupyterlab/apputils';

type Attributes = Record<string, string | boolean | ((event: Event) => void)>;

/** An element; `true` sets an attribute, `false` leaves it out, a function listens. */
export function el<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const node = document.createElement(tag);
  set(node, attributes);
  node.append(...children);
  return node;
}

/** An element of a drawing. */
export function svg(tag: string, attributes: Attributes, ...children: Node[]): SVGElement {
  const node = document.createElementNS('http://www.w3.org/2000/svg', tag);
  set(node, attributes);
  node.append(...children);
  return node;
}

function set(node: Element, attributes: Attributes): void {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === 'function') {
      node.addEventListener(name, value);
    } else if (value !== false) {
      node.setAttribute(name, value === true ? '' : value);
    }
  }
}

/** Makes a widget's node a panel of this name, which the keyboard can reach and scroll. */
export function panel(node: HTMLElement, name: string, ...content: Node[]): void {
  node.classList.add('bai-panel');
  set(node, { role: 'region', 'aria-label': name, tabindex: '0' });
  node.append(el('h2', {}, name), ...content);
}

/** A button that looks like Lab's. */
export function button(label: string, press: () => void, more: Attributes = {}): HTMLButtonElement {
  const attributes = { type: 'button', class: 'bai-button jp-mod-styled', click: press, ...more };
  return el('button', attributes, label);
}

/** A list of names and values. */
export function facts(...rows: [string, Node | string][]): HTMLElement {
  return el(
    'dl',
    { class: 'bai-facts' },
    ...rows.flatMap(([name, value]) => [el('dt', {}, name), el('dd', {}, value)])
  );
}

/** A line of text to be copied, under the name of what it is. */
export function copyable(name: string, text: string): HTMLElement {
  const said = el('span', { role: 'status', class: 'bai-copied' });
  const copy = () => {
    // works too where the page came without TLS, and the browser's own interface is not there
    Clipboard.copyToSystem(text);
    said.textContent = 'Copied';
    setTimeout(() => (said.textContent = ''), 2000);
  };
  return el(
    'div',
    { class: 'bai-copyable' },
    el('div', { class: 'bai-copyable-name' }, name, said),
    el('pre', { tabindex: '0', 'aria-label': name }, text),
    button('Copy', copy, { 'aria-label': `Copy: ${name}` })
  );
}
