/** The allocation in use, in one line of the status bar. */

import { Widget } from '@lumino/widgets';

import type { GpuUse, Usage } from './api';
import { el } from './dom';
import { digits, part } from './units';

export class UsageStatus extends Widget {
  private readonly press: HTMLButtonElement;

  constructor(open: () => void) {
    super();
    this.addClass('bai-status');
    this.press = el('button', { type: 'button', click: open });
    this.node.append(this.press);
    this.hide();
  }

  /** Show this; `problem` says why it is not newer. */
  see(usage: Usage | null, problem: string): void {
    if (usage) {
      const { cpu, memory } = usage;
      const parts = [
        `CPU ${digits(cpu.used)}/${digits(cpu.limit)}`,
        `Mem ${part(memory.used, memory.limit, '/')}`,
        ...(usage.gpu ?? []).map(gpu)
      ];
      const sign = usage.warning ? '⚠ ' : '';
      this.press.textContent = sign + parts.join(' · ');
      this.press.title = usage.warning?.message ?? 'Usage of this session: CPU cores, memory';
      this.press.classList.toggle('bai-mod-warning', usage.warning !== null);
      this.show();
    }
    this.press.classList.toggle('bai-mod-old', problem !== '');
    if (problem) {
      this.press.title = problem;
    }
  }
}

/** A device that everybody uses is no part of the allocation, and is not called so. */
function gpu({ of, memory }: GpuUse): string {
  return `${of === 'session' ? 'fGPU' : 'whole GPU'} ${part(memory.used, memory.limit, '/')}`;
}
