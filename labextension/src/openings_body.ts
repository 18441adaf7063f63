/** The dialog's body: an app is opened on a port of its own, and closed again. */

import type { Message } from '@lumino/messaging';
import { Widget } from '@lumino/widgets';

import { type Opening, type Wanted, words } from './api';
import { button, el } from './dom';
import type { OpeningsState } from './openings_state';
import { address, used, whom } from './openings_words';
import { tab } from './tab';

const FIRST = '1024';
const LAST = '65535';

export class OpeningsBody extends Widget {
  private readonly app = el('select');
  private readonly asks = el('p', { class: 'bai-note' });
  private readonly isPublic = el('input', { type: 'checkbox' });
  private readonly password = el('input', {
    type: 'password',
    autocomplete: 'new-password',
    maxlength: '128'
  });
  private readonly allowed = el('input', { placeholder: '192.0.2.7, 198.51.100.0/24' });
  private readonly until = el('input', { type: 'datetime-local' });
  private readonly more = el(
    'div',
    { class: 'bai-open-more' },
    el(
      'p',
      { class: 'bai-note' },
      'Whoever has its address gets in, without a login, until you close it or the session ends.'
    ),
    el(
      'div',
      { class: 'bai-open-fields' },
      field('Password (optional)', this.password),
      field('Until (optional)', this.until)
    ),
    field('Only from these addresses (optional)', this.allowed)
  );
  private readonly isPreferred = el('input', { type: 'checkbox' });
  private readonly port = el('input', {
    type: 'number',
    min: FIRST,
    max: LAST,
    placeholder: `${FIRST} to ${LAST}`,
    'aria-label': 'Preferred port'
  });
  private readonly press = button('Open', () => void this.open(), {
    class: 'bai-button jp-mod-styled jp-mod-accept bai-open'
  });
  private readonly said = el('p', { role: 'status' });
  private readonly problem = el('p', { role: 'alert' });
  private readonly form: HTMLElement;
  private readonly list = el('ul', { class: 'bai-openings', 'aria-label': 'Open on ports' });
  private readonly now = el('section', {}, el('h3', {}, 'Open on ports'), this.list);
  private readonly publicly = choice('Open app to public', this.isPublic);
  private readonly preferred = el(
    'div',
    { class: 'bai-open-port' },
    choice('Try preferred port', this.isPreferred),
    this.port
  );
  private busy = false;
  private shown = '';

  constructor(private readonly state: OpeningsState) {
    super({ node: el('div', { class: 'bai-dialog' }) });
    this.form = el(
      'div',
      {},
      el(
        'p',
        {},
        'An app is opened on a port of its own, with an address that works outside of Lab, too.'
      ),
      field('App', this.app),
      this.asks,
      this.publicly,
      this.more,
      this.preferred,
      this.press
    );
    this.node.append(this.form, this.said, this.problem, this.now);
    this.node.addEventListener('change', () => this.choose());
    this.see();
    state.changed.connect(this.see, this);
  }

  override dispose(): void {
    this.state.changed.disconnect(this.see, this);
    super.dispose();
  }

  protected override onAfterAttach(message: Message): void {
    super.onAfterAttach(message);
    // Lab's dialog hears of the key before its body does
    window.addEventListener('keydown', this.enter, true);
  }

  protected override onBeforeDetach(message: Message): void {
    window.removeEventListener('keydown', this.enter, true);
    super.onBeforeDetach(message);
  }

  /** Enter in a field opens the app, where Lab would close the dialog. */
  private readonly enter = (event: KeyboardEvent) => {
    const { key, target } = event;
    const isField = target instanceof HTMLInputElement || target instanceof HTMLSelectElement;
    if (key === 'Enter' && isField && this.node.contains(target)) {
      event.preventDefault();
      event.stopPropagation();
      void this.open();
    }
  };

  /** Show what goes with what is chosen. */
  private choose(): void {
    const chosen = this.state.apps.find(one => one.name === this.app.value);
    this.more.hidden = !this.isPublic.checked;
    this.port.disabled = !this.isPreferred.checked;
    // a button that was pressed keeps the focus, which it would lose if it were disabled
    this.press.setAttribute('aria-disabled', String(!chosen || this.busy));
    const asks = chosen?.asks && chosen.state !== 'running';
    this.asks.textContent = asks
      ? `${chosen.title} asks for a ${chosen.asks}: start it in one first, from the menu of a ` +
        'directory in the file browser.'
      : '';
    this.asks.hidden = !asks;
  }

  /** What was typed and is not whole: its value would be as if nothing had been. */
  private unfinished(): HTMLInputElement | undefined {
    const used = [
      ...(this.isPublic.checked ? [this.until] : []),
      ...(this.isPreferred.checked ? [this.port] : [])
    ];
    return used.find(one => one.validity.badInput);
  }

  private wanted(): Wanted {
    const wanted: Wanted = { app: this.app.value, public: this.isPublic.checked };
    if (this.isPreferred.checked && this.port.value) {
      wanted.port = Number(this.port.value);
    }
    if (wanted.public) {
      if (this.password.value) {
        wanted.password = this.password.value;
      }
      const allowed = this.allowed.value.split(/[\s,]+/).filter(Boolean);
      if (allowed.length) {
        wanted.allowed = allowed;
      }
      if (this.until.value) {
        wanted.expires = new Date(this.until.value).toISOString();
      }
    }
    return wanted;
  }

  private async open(): Promise<void> {
    const unfinished = this.unfinished();
    if (unfinished) {
      unfinished.reportValidity();
      return;
    }
    if (this.press.getAttribute('aria-disabled') === 'true') {
      return;
    }
    const title = this.state.title(this.app.value);
    let shown: Window | null = null;
    this.busy = true;
    this.choose();
    this.say(`Opening ${title}…`);
    try {
      shown = tab();
      const made = await this.state.start(this.wanted());
      this.say(made.told || `${title} is open at ${made.url}`);
      shown.location.replace(address(made.url) || 'about:blank');
      this.now.scrollIntoView({ block: 'nearest' });
    } catch (error) {
      shown?.close();
      this.say('', `${title} was not opened: ${words(error)}`);
    } finally {
      this.busy = false;
      this.choose();
    }
  }

  private async shut(opening: Opening): Promise<void> {
    const title = this.state.title(opening.app);
    this.say(`Closing ${title}…`);
    try {
      await this.state.close(opening);
      this.say(`${title} is closed: nobody reaches ${opening.url} now.`);
    } catch (error) {
      this.say('', `${title} was not closed: ${words(error)}`);
    }
  }

  private say(text: string, problem = ''): void {
    this.said.textContent = text;
    this.problem.textContent = problem;
    this.problem.classList.toggle('bai-problem', problem !== '');
  }

  /** Show what may be opened and what is open, where something of it changed. */
  private see(): void {
    const { told, apps, open, problem } = this.state;
    this.form.hidden = !this.state.isOffered;
    this.publicly.hidden = !told?.public;
    this.preferred.hidden = !told?.preferred_port;
    const is = JSON.stringify([apps, open, problem]);
    if (is === this.shown) {
      return;
    }
    this.shown = is;
    const chosen = this.app.value;
    this.app.replaceChildren(
      ...apps.map(({ name, title }) =>
        el('option', { value: name, selected: name === chosen }, title)
      )
    );
    this.choose();
    this.now.hidden = !open.length && !problem;
    const note = problem ? [el('li', { class: 'bai-note' }, `This may be old: ${problem}`)] : [];
    this.keepFocus(() =>
      this.list.replaceChildren(...open.map(one => this.row(one)), ...note)
    );
  }

  /** What has the focus has it after the change; if it went, what is next to be used has. */
  private keepFocus(change: () => void): void {
    const focused = document.activeElement;
    const within = focused instanceof HTMLElement && this.list.contains(focused);
    const key = within ? focused.dataset['key'] : undefined;
    change();
    if (within) {
      const again = [...this.list.querySelectorAll<HTMLElement>('[data-key]')].find(
        one => one.dataset['key'] === key
      );
      (again ?? (this.form.hidden ? this.list.querySelector('button') : this.app))?.focus();
    }
  }

  private row(opening: Opening): HTMLElement {
    const title = this.state.title(opening.app);
    const href = address(opening.url);
    const name = opening.public
      ? [el('strong', {}, title), ' ', el('span', { class: 'bai-badge' }, 'public')]
      : [el('strong', {}, title)];
    let asked = false;
    const press = async () => {
      if (asked) {
        return;
      }
      asked = true;
      await this.shut(opening);
      asked = false;
    };
    const link = { target: '_blank', rel: 'noopener', class: 'bai-link' };
    return el(
      'li',
      {},
      el(
        'div',
        {},
        el('div', {}, ...name),
        el('a', { href, 'data-key': `${opening.id} link`, ...link }, opening.url),
        el('div', { class: 'bai-note' }, `${whom(opening)}. ${used(opening)}. ${opening.told}`)
      ),
      button('Close', () => void press(), {
        'data-key': `${opening.id} close`,
        'aria-label': `Close ${title} at ${opening.url}`
      })
    );
  }
}

function field(name: string, input: HTMLElement): HTMLElement {
  return el('label', { class: 'bai-field' }, el('span', {}, name), input);
}

function choice(name: string, input: HTMLElement): HTMLElement {
  return el('label', { class: 'bai-choice' }, input, name);
}
