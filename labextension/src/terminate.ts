/** The end of a session: what will be lost, a copy of what is wanted, and then the end. */

import { Dialog, showDialog, showErrorMessage } from '@jupyterlab/apputils';

import { type Losses, type Rescue, type Session, type SessionApi, words } from './api';
import { type Choice, LossesBody } from './losses';
import { copy, watch } from './rescue';
import { pause, Waiting } from './waiting';

const LOOK_MS = 500;
const PATIENCE_MS = 5000;
/** What is counted sooner needs no word about that. */
const AT_ONCE_MS = 300;

/**
 * Ask, copy, terminate, and go to the hub's home page.
 *
 * A copy that is being made already, of a page that was loaded again, is watched first.
 *
 * @param api the session.
 * @param unsaved whether open files have changes that are in no file.
 */
export async function terminate(api: SessionApi, unsaved: boolean): Promise<void> {
  const before = await api.rescued();
  const copied = before.state === 'running' ? await watch(api, before) : before;
  const found = copied && (await counted(api));
  const choice = found && (await ask(found, unsaved, copied));
  if (!choice) {
    return;
  }
  if (choice.names === null || choice.names.length) {
    // a refusal after the copying would have everything copied again with the next attempt
    await api.mayTerminate();
    const made = await copy(api, choice.folder, choice.names);
    if (!made || !(await enough(made))) {
      return;
    }
  }
  await end(api, found.session.hub);
}

interface Found {
  session: Session;
  /** Null: they cannot be told, for the reason `problem`. */
  losses: Losses | null;
  problem: string;
}

/** What there is to lose; null when its user would not wait. */
async function counted(api: SessionApi): Promise<Found | null> {
  const text = 'Counting what would be lost…';
  const dialog = new Waiting('Before the session ends', text, 'Cancel', AT_ONCE_MS);
  const count = async (): Promise<Found> => {
    const session = await api.session();
    try {
      return { session, losses: await api.losses(), problem: '' };
    } catch (error) {
      return { session, losses: null, problem: words(error) };
    }
  };
  try {
    return await dialog.for(count());
  } finally {
    dialog.dispose();
  }
}

/** What the user chose; null for not to end the session. */
async function ask(found: Found, unsaved: boolean, copied: Rescue): Promise<Choice | null> {
  const said = copied.state === 'done' ? copied.message : '';
  const { button, value } = await showDialog({
    title: `Terminate the session ${found.session.name}?`,
    body: new LossesBody(found.losses, found.problem, found.session, unsaved, said),
    buttons: [Dialog.cancelButton(), Dialog.warnButton({ label: 'Terminate' })],
    // nothing is lost by the Enter key alone
    defaultButton: 0
  });
  return button.accept ? value : null;
}

/** Whether the session may end, after a copy that may have left something out. */
async function enough({ skipped, message }: Rescue): Promise<boolean> {
  if (!skipped) {
    return true;
  }
  const { button } = await showDialog({
    title: 'Copied, but not all of it',
    body: message,
    buttons: [
      Dialog.cancelButton({ label: 'Keep the session' }),
      Dialog.warnButton({ label: 'Terminate' })
    ],
    defaultButton: 0
  });
  return button.accept;
}

/** Have it ended, and leave for the hub's home page. */
async function end(api: SessionApi, hub: string): Promise<void> {
  const dialog = new Waiting('Ending the session…', 'The hub stops it.', '');
  try {
    await api.terminate();
    await gone(api);
  } catch (error) {
    dialog.dispose();
    await showErrorMessage('The session goes on: it could not be terminated', words(error));
    return;
  }
  // Lab asks whether to leave what is unsaved, and there is nothing to go back to: the last
  // who answers is heard
  window.addEventListener('beforeunload', event => {
    event.returnValue = '';
  });
  window.location.assign(new URL('home', new URL(hub, window.location.href)));
}

/** Wait until the session is gone, for a while: the hub's page shows what is left of it. */
async function gone(api: SessionApi): Promise<void> {
  for (let waited = 0; waited < PATIENCE_MS; waited += LOOK_MS) {
    await pause(LOOK_MS);
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
