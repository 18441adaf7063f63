/** What this session is: its name, what it was given, and ways into it. */

import { Poll } from '@lumino/polling';
import type { Message } from '@lumino/messaging';
import { Widget } from '@lumino/widgets';

import { type Folder, type Session, type SessionApi, words } from './api';
import { button, el, facts, panel } from './dom';
import { LimitsSection } from './limits_section';
import type { TimeLeft } from './time_left';
import { ago, bytes, digits } from './units';

const MINUTE_MS = 60_000;

export interface Ways {
  openFolder(path: string): void;
  terminal(): void;
  log(): void;
  ssh(): void;
  usage(): void;
  openings(): void;
  terminate(): void;
}

/** Asks the session each time it comes into sight. */
export class SessionPanel extends Widget {
  private readonly content = el('div', { class: 'bai-panel-body' }, el('p', {}, 'Loading…'));
  private readonly age = el('span');
  private readonly limits: HTMLElement[];
  private readonly clock: Poll;
  private readonly openings: HTMLButtonElement;
  private started: Date | null = null;

  constructor(
    private readonly api: SessionApi,
    left: TimeLeft | null,
    private readonly ways: Ways
  ) {
    super();
    this.limits = left ? [new LimitsSection(left).node] : [];
    this.openings = button('Apps on ports…', () => ways.openings(), { hidden: true });
    panel(this.node, 'This session', this.content);
    this.clock = new Poll({
      name: 'bai-spawner:elapsed',
      factory: async () => this.tick(),
      frequency: { interval: MINUTE_MS, backoff: false },
      standby: () => !this.isVisible || document.hidden
    });
  }

  /** Whether apps may be opened on ports here. */
  offerOpenings(offered: boolean): void {
    this.openings.hidden = !offered;
  }

  override dispose(): void {
    this.clock.dispose();
    super.dispose();
  }

  protected override onAfterShow(message: Message): void {
    super.onAfterShow(message);
    void this.load();
  }

  private async load(): Promise<void> {
    try {
      this.draw(await this.api.session());
    } catch (error) {
      this.content.replaceChildren(
        el('p', { class: 'bai-problem', role: 'alert' }, words(error)),
        button('Try again', () => void this.load())
      );
    }
  }

  private draw(session: Session): void {
    const { name, environment, version, group, resources, folders } = session;
    this.started = new Date(session.started);
    this.tick();
    const begun = this.started.toLocaleString();
    const { ways } = this;
    this.content.replaceChildren(
      facts(
        ['Name', el('strong', {}, name)],
        ['Environment', `${environment} ${version}`],
        ['Resource group', group],
        ['Resources', given(resources)],
        ['Started', el('span', {}, begun, el('br'), this.age)]
      ),
      ...this.limits,
      el('h3', {}, 'Folders'),
      ...this.folders(folders),
      el('h3', {}, 'Open'),
      el(
        'div',
        { class: 'bai-buttons' },
        button('Terminal', ways.terminal),
        button('Log', ways.log),
        button('SSH…', ways.ssh),
        button('Usage', ways.usage),
        this.openings
      ),
      el('h3', {}, 'End'),
      button('Terminate session…', ways.terminate, {
        class: 'bai-button jp-mod-styled jp-mod-warn'
      })
    );
  }

  private folders(folders: Folder[]): HTMLElement[] {
    const lost = 'What is outside folders is deleted when the session ends.';
    if (!folders.length) {
      return [el('p', { class: 'bai-note' }, `No folder is mounted. ${lost}`)];
    }
    const rows = folders.map(({ name, path, writable }) =>
      el(
        'li',
        {},
        el(
          'button',
          { type: 'button', class: 'bai-link', click: () => this.ways.openFolder(path) },
          name
        ),
        writable ? '' : ' (read only)'
      )
    );
    return [
      el('ul', { class: 'bai-folders' }, ...rows),
      el('p', { class: 'bai-note' }, lost)
    ];
  }

  private tick(): void {
    if (this.started) {
      this.age.textContent = ago(this.started);
    }
  }
}

function given({ cpu, memory, shm, gpu }: Session['resources']): HTMLElement {
  const device = gpu?.memory ? ` (${bytes(gpu.memory)} of device memory)` : '';
  const parts = [
    cpu === null ? [] : `${digits(cpu)} CPU`,
    memory === null ? [] : `${bytes(memory)} memory`,
    shm === null ? [] : `${bytes(shm)} shared memory`,
    gpu ? `${gpu.fgpu} fGPU${device}` : []
  ].flat();
  return el('span', {}, ...parts.flatMap(text => [el('span', { class: 'bai-given' }, text), ' ']));
}
