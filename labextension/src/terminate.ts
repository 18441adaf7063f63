/** The end of a session: what will be lost, a copy of what is wanted, and then the end. */

import { Dialog, showDialog, showErrorMessage } from '@jupyterlab/apputils';
import { Widget } from '@lumino/widgets';

import { type Folder, type Rescue, type SessionApi, words } from './api';
import { el } from './dom';
import { type Choice, LossesBody } from './losses';
import { bytes } from './units';

const LOOK_MS = 500;
const PATIENCE_MS = 5000;

/**
 * Ask, copy, terminate, and go to the hub's home page.
 *
 * @param api the session.
 * @param unsaved whether open files have changes that are in no file.
 */
export async function terminate(api: SessionApi, unsaved: boolean): Promise<void> {
  const session = await api.session();
  const choice = await ask(api, session.name, session.folders, unsaved);
  if (!choice || (choice.names.length && !(await copied(api, choice)))) {
    return;
  }
  try {
    await api.terminate();
    await gone(api);
  } catch (error) {
    await showErrorMessage('The session goes on: it could not be terminated', words(error));
    return;
  }
  window.location.assign(new URL('home', new URL(session.hub, window.location.href)));
}

/** Wait until the session is gone, for a while: the hub's page shows what is left of it. */
async function gone(api: SessionApi): Promise<void> {
  for (let waited = 0; waited < PATIENCE_MS; waited += LOOK_MS) {
    await pause();
    let now;
    try {
      now = await api.terminating();
    } catch {
      return;
    }
    if (now.state === 'failed') {
      throw new Error(now.message);
    }
  }
}

function pause(): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, LOOK_MS));
}

/** What the user chose; null for not to end the session. */
async function ask(
  api: SessionApi,
  name: string,
  folders: Folder[],
  unsaved: boolean
): Promise<Choice | null> {
  let losses = null;
  let problem = '';
  try {
    losses = await api.losses();
  } catch (error) {
    problem = words(error);
  }
  const { button, value } = await showDialog({
    title: `Terminate the session ${name}?`,
    body: new LossesBody(losses, problem, folders, unsaved),
    buttons: [Dialog.cancelButton(), Dialog.warnButton({ label: 'Terminate' })],
    // nothing is lost by the Enter key alone
    defaultButton: 0
  });
  return button.accept ? value : null;
}

/** Copy and show how far it is; whether all is copied and the session may end. */
async function copied(api: SessionApi, { folder, names }: Choice): Promise<boolean> {
  const bar = el('progress', { 'aria-label': 'Copied' });
  const told = el('p', {}, `Copying to the folder ${folder}…`);
  const node = el('div', { class: 'bai-dialog bai-copying' }, told, bar);
  const dialog = new Dialog({
    title: 'Copying before the session ends',
    body: new Widget({ node }),
    buttons: [Dialog.cancelButton({ label: 'Stop and keep the session' })],
    hasClose: false
  });
  let kept = false;
  void dialog.launch().then(
    () => (kept = true),
    // disposed here, when the copying is over
    () => undefined
  );
  try {
    await api.rescue(folder, names);
    for (;;) {
      const now = await api.rescued();
      if (kept) {
        await api.stopRescue();
        return false;
      }
      if (now.state === 'done') {
        dialog.dispose();
        return true;
      }
      if (now.state !== 'running') {
        throw new Error(now.message || 'The session was started again meanwhile.');
      }
      show(now, bar, told);
      await pause();
    }
  } catch (error) {
    dialog.dispose();
    await showErrorMessage('The session goes on: not everything was copied', words(error));
    return false;
  }
}

function show(
  { copied, total, target }: Rescue,
  bar: HTMLProgressElement,
  told: HTMLElement
): void {
  bar.max = Math.max(total, 1);
  bar.value = copied;
  told.textContent = `${bytes(copied)} of ${bytes(total)} are in ${target}.`;
}
