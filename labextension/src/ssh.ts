/** How to reach the session by SSH: the lines to copy, and the key. */

import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { Dialog, ICommandPalette, showDialog } from '@jupyterlab/apputils';
import { ILauncher } from '@jupyterlab/launcher';
import { Widget } from '@lumino/widgets';

import { type Session, type SessionApi, type Ssh, words } from './api';
import { copyable, el } from './dom';
import { sshIcon } from './icons';
import { KEY_FILE, sshLines } from './ssh_lines';
import { card, CATEGORY, Command, ISessionApi } from './tokens';

function keyLink(api: SessionApi): HTMLElement {
  const attributes = {
    class: 'bai-button jp-mod-styled jp-mod-accept',
    href: api.keyUrl,
    download: KEY_FILE
  };
  return el('a', attributes, `Download ${KEY_FILE}`);
}

function published(api: SessionApi, ssh: Ssh & { port: number }, session: Session): HTMLElement[] {
  const host = ssh.host || window.location.hostname;
  const lines = sshLines(ssh, session.name, window.location.hostname);
  return [
    el('p', {}, `Host ${host} · port ${ssh.port} · user ${ssh.user}`),
    el('h3', {}, 'The key'),
    el(
      'p',
      {},
      'It opens this session only, and only as long as the session runs. Keep it to yourself.'
    ),
    keyLink(api),
    copyable('Then, where it was saved', `chmod 600 ${KEY_FILE}`),
    el('h3', {}, 'Connect'),
    copyable('Log in', lines.ssh),
    copyable('Exchange files', lines.sftp),
    copyable('Copy a file into the session', lines.upload),
    copyable('Copy a file out of it', lines.download),
    el('h3', {}, 'By name, and in VS Code'),
    el('p', {}, 'Move the key to ', el('code', {}, lines.keyPath), ' and add these lines:'),
    copyable('~/.ssh/config', lines.config),
    copyable('VS Code with the extension Remote-SSH', lines.code),
    el('h3', {}, "The host's key"),
    el('p', {}, 'The first time, SSH asks whether this fingerprint is right. It is, if it is:'),
    copyable('Fingerprint', ssh.fingerprint),
    copyable('Or, so that it does not ask, in ~/.ssh/known_hosts', lines.knownHosts)
  ];
}

function body(api: SessionApi, ssh: Ssh, session: Session): HTMLElement[] {
  const notes = ssh.running
    ? []
    : [
        el(
          'p',
          { class: 'bai-problem', role: 'alert' },
          "The session's SSH server does not run now. It is started again by itself; the " +
            'session log says why it ended.'
        )
      ];
  if (ssh.port === null) {
    return [
      ...notes,
      el(
        'p',
        {},
        'SSH is not published here, so this session cannot be reached by it from outside. ' +
          'An administrator of this hub can publish it; sessions that are started after that ' +
          'have it.'
      ),
      keyLink(api)
    ];
  }
  return [...notes, ...published(api, { ...ssh, port: ssh.port }, session)];
}

async function show(api: SessionApi): Promise<void> {
  let content: HTMLElement[];
  try {
    const [ssh, session] = await Promise.all([api.ssh(), api.session()]);
    content = body(api, ssh, session);
  } catch (error) {
    content = [el('p', { class: 'bai-problem', role: 'alert' }, words(error))];
  }
  const widget = new Widget({ node: el('div', { class: 'bai-dialog bai-ssh' }, ...content) });
  await showDialog({
    title: 'SSH to this session',
    body: widget,
    buttons: [Dialog.okButton({ label: 'Close' })]
  });
}

const ssh: JupyterFrontEndPlugin<void> = {
  id: 'bai-spawner:ssh',
  description: 'Tells how to reach the session by SSH.',
  autoStart: true,
  requires: [ISessionApi],
  optional: [ICommandPalette, ILauncher],
  activate: (
    app: JupyterFrontEnd,
    api: SessionApi,
    palette: ICommandPalette | null,
    launcher: ILauncher | null
  ) => {
    let shown = false;
    app.commands.addCommand(Command.ssh, {
      label: args => (args['isPalette'] ? 'SSH to this session…' : 'SSH'),
      caption: 'How to reach this session by ssh, sftp, scp and VS Code, and its key',
      icon: sshIcon,
      execute: async () => {
        // a second click, while the session is asked, is the same wish
        if (shown) {
          return;
        }
        shown = true;
        try {
          await show(api);
        } finally {
          shown = false;
        }
      }
    });
    palette?.addItem({ command: Command.ssh, category: CATEGORY, args: { isPalette: true } });
    launcher?.add(card(Command.ssh, 2));
  }
};

export default ssh;
