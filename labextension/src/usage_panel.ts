/** How much of the allocation is in use, now and in the last minutes. */

import type { Message } from '@lumino/messaging';
import { Widget } from '@lumino/widgets';

import type { FolderUse, GpuUse, Usage } from './api';
import { el, panel } from './dom';
import { bar, plot } from './plots';
import { ago, bytes, digits, part } from './units';

/** Is given what was measured, and draws it while it is seen. */
export class UsagePanel extends Widget {
  private readonly content = el('div', { class: 'bai-panel-body' });
  private readonly state = el('p', { role: 'status', hidden: true });
  private usage: Usage | null = null;
  private problem = '';

  constructor() {
    super();
    panel(this.node, 'Usage of this session', this.state, this.content);
    this.content.append(el('p', {}, 'Measuring…'));
  }

  /** Show this; `problem` says why it is not newer. */
  see(usage: Usage | null, problem: string): void {
    this.usage = usage ?? this.usage;
    this.problem = problem;
    if (this.isVisible) {
      this.update();
    }
  }

  protected override onAfterShow(message: Message): void {
    super.onAfterShow(message);
    this.update();
  }

  protected override onUpdateRequest(message: Message): void {
    super.onUpdateRequest(message);
    const held = chosen(this.content);
    this.say(this.problem || (held ? 'This stands still while some of it is selected.' : ''));
    if (this.usage && !held) {
      this.content.replaceChildren(...drawn(this.usage));
    } else if (this.problem && !this.usage) {
      this.content.replaceChildren();
    }
  }

  private say(text: string): void {
    if (this.state.textContent === text) {
      return;
    }
    this.state.textContent = text;
    this.state.hidden = !text;
    this.state.className = this.problem ? 'bai-problem' : 'bai-note';
  }
}

/** Whether somebody has selected text in it, as one does to copy it. */
function chosen(node: Node): boolean {
  const selection = window.getSelection();
  return selection !== null && !selection.isCollapsed && selection.containsNode(node, true);
}

function cores(value: number): string {
  return `${digits(value)} ${value === 1 ? 'core' : 'cores'}`;
}

function section(title: string, told: string, ...content: Element[]): HTMLElement {
  return el(
    'section',
    {},
    el('div', { class: 'bai-row' }, el('h3', {}, title), el('span', {}, told)),
    ...content
  );
}

function drawn(usage: Usage): HTMLElement[] {
  const { cpu, memory, shm, processes, history } = usage;
  const cpuTold = `${digits(cpu.used)} of ${cores(cpu.limit)}`;
  const memoryTold = part(memory.used, memory.limit);
  const shmTold = part(shm.used, shm.limit);
  const warning = usage.warning
    ? [el('p', { class: 'bai-problem bai-mod-warning' }, usage.warning.message)]
    : [];
  // a notification is cut short, and goes away
  const killed = usage.killed.count
    ? [el('p', { class: 'bai-problem' }, usage.killed.message)]
    : [];
  return [
    ...warning,
    ...killed,
    section(
      'CPU',
      cpuTold,
      // all of it in use is what it is there for
      bar('CPU', cpu.used, cpu.limit, cpuTold, 2),
      plot('CPU', history.at, history.cpu, cpu.limit, cores)
    ),
    section(
      'Memory',
      memoryTold,
      bar('Memory', memory.used, memory.limit, memoryTold),
      plot('Memory', history.at, history.memory, memory.limit, bytes)
    ),
    section('Shared memory', shmTold, bar('Shared memory', shm.used, shm.limit, shmTold)),
    ...gpus(usage),
    section(
      'Processes',
      processes.limit === null
        ? String(processes.used)
        : `${processes.used} of ${processes.limit}`,
      ...(processes.limit === null
        ? []
        : [
            bar(
              'Processes',
              processes.used,
              processes.limit,
              `${processes.used} of ${processes.limit}`
            )
          ])
    ),
    disk(usage)
  ];
}

function gpus({ gpu, history }: Usage): HTMLElement[] {
  if (!gpu) {
    return [];
  }
  if (!gpu.length) {
    return [section('GPU', 'its driver does not answer')];
  }
  const limit = gpu.reduce((total, one) => total + one.memory.limit, 0);
  return [
    ...gpu.map(device),
    section('GPU memory', '', plot('GPU memory', history.at, history.gpu, limit, bytes))
  ];
}

/** A driver that does not tell sessions apart reports the device, and that is what is said. */
function device(one: GpuUse, index: number): HTMLElement {
  const whose = one.of === 'session' ? 'of this session' : 'of everybody on this device';
  const memoryTold = part(one.memory.used, one.memory.limit);
  const { used, limit } = one.sm;
  // the one counts time, the other multiprocessors: no bar can show both
  const busy = used === null ? 'not reported' : `${digits(used)} % of the time`;
  const may =
    limit === null || limit >= 100
      ? []
      : [el('p', { class: 'bai-note' }, `${digits(limit)} % of its multiprocessors may be used.`)];
  return section(
    `GPU ${index}`,
    one.name,
    el('div', { class: 'bai-row' }, el('span', {}, `Memory ${whose}`), memoryTold),
    bar(`Memory of GPU ${index} ${whose}`, one.memory.used, one.memory.limit, memoryTold),
    el('div', { class: 'bai-row' }, el('span', {}, 'The device computes'), busy),
    ...(used === null ? [] : [bar(`Computing of GPU ${index}`, used, 100, busy, 2)]),
    ...may
  );
}

function disk({ disk: { work, folders } }: Usage): HTMLElement {
  const counted =
    work.at === null
      ? 'not yet counted'
      : `${work.complete ? '' : 'at least '}${bytes(work.used)}, ` +
        `counted ${ago(new Date(work.at * 1000))}`;
  return section(
    'Disk',
    '',
    el('div', { class: 'bai-row' }, el('span', {}, 'Outside folders'), el('span', {}, counted)),
    el('p', { class: 'bai-note' }, 'Deleted when the session ends.'),
    ...folders.map(folder)
  );
}

function folder({ name, used, complete, free, total }: FolderUse): HTMLElement {
  const mine = used === null ? '' : `${inIt(used, complete)}, `;
  const row = (told: string) =>
    el('div', { class: 'bai-row' }, el('span', {}, `Folder ${name}`), el('span', {}, told));
  if (free === null || total === null) {
    return row(`${mine}its disk does not answer`);
  }
  const told = `${mine}${bytes(free)} of ${bytes(total)} free`;
  return el('div', {}, row(told), bar(`Disk of folder ${name}`, total - free, total, told));
}

/** What a folder holds; the server counts nothing only where there is nothing. */
function inIt(used: number, complete: boolean): string {
  if (!complete) {
    return `at least ${bytes(used)} in it`;
  }
  return used ? `${bytes(used)} in it` : 'empty';
}
