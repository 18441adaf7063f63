// Starts an app, shows that it starts, and goes to it. An app that asks for a directory starts
// when the button is pressed and never before: an address that names one only fills it in, or
// leads on to the app where it runs on that already.
'use strict';

const POLL = 500; // milliseconds between two looks
const { name, base, xsrf } = document.body.dataset;
const api = `${base}bai/api/apps/${name}`;
const byId = id => document.getElementById(id);
const wait = milliseconds => new Promise(done => setTimeout(done, milliseconds));
const wanted = new URLSearchParams(location.search).get('directory');
let began = 0;
let suggesting = 0;

async function ask(method, path = '', body = undefined) {
  const answer = await fetch(api + path, {
    method,
    headers: { 'X-XSRFToken': xsrf, 'Content-Type': 'application/json' },
    body: body && JSON.stringify(body),
    cache: 'no-store'
  });
  const type = answer.headers.get('Content-Type') || '';
  const content = type.startsWith('application/json') ? await answer.json() : await answer.text();
  if (!answer.ok) {
    const told = (content && content.message) || `The session answered ${answer.status}.`;
    throw Object.assign(new Error(told), { field: content.field, refused: true });
  }
  return content;
}

function show(...shown) {
  for (const id of ['choice', 'running', 'progress', 'failure', 'written']) {
    byId(id).hidden = !shown.includes(id);
  }
}

function showOutput(text) {
  const box = byId('output');
  const atEnd = box.scrollTop + box.clientHeight >= box.scrollHeight - 8;
  byId('written').hidden = !text;
  if (box.textContent !== text) {
    box.textContent = text;
    if (atEnd) box.scrollTop = box.scrollHeight;
  }
}

function go() {
  location.replace(`${base}${name}/`);
}

function choose(app) {
  const running = app.state === 'running' || app.state === 'starting';
  byId('begin').textContent = running ? 'Start it on this directory instead' : 'Start';
  byId('runs').textContent = `${app.title} runs on ${app.directory}.`;
  byId('open').href = `${base}${name}/`;
  if (!byId('directory').value) byId('directory').value = wanted ?? app.directory;
  show('choice', ...(app.state === 'running' ? ['running'] : []));
  suggest();
  (app.state === 'running' ? byId('open') : byId('directory')).focus();
}

function fail(app) {
  const [first, ...output] = app.message.split('\n');
  byId('why').textContent = first;
  show('failure', ...(app.asks ? ['choice'] : []));
  byId('begin').textContent = 'Start';
  byId('retry').hidden = Boolean(app.asks);
  showOutput(output.join('\n'));
  byId('why').focus();
}

async function follow(app) {
  began = began || Date.now();
  byId('doing').textContent = `${app.title} is starting.`;
  show('progress');
  let output = '';
  while (app.state === 'starting') {
    byId('seconds').textContent = `${Math.round((Date.now() - began) / 1000)} s`;
    showOutput(output);
    await wait(POLL);
    try {
      [app, output] = await Promise.all([ask('GET'), ask('GET', '/output')]);
      byId('doing').textContent = `${app.title} is starting.`;
    } catch (error) {
      if (error.refused) throw error;
      byId('doing').textContent = 'The session does not answer; asking again.';
    }
  }
  began = 0;
  if (app.state === 'running') return go();
  if (app.state === 'failed') return fail(app);
  return fail({ ...app, message: app.message || `${app.title} was stopped.` });
}

async function start(body) {
  byId('wrong').textContent = '';
  byId('directory').removeAttribute('aria-invalid');
  try {
    await follow(await ask('POST', '', body));
  } catch (error) {
    if (error.field === 'directory') {
      show('choice');
      byId('wrong').textContent = error.message;
      byId('directory').setAttribute('aria-invalid', 'true');
      byId('directory').focus();
    } else {
      trouble(error);
    }
  }
}

function trouble(error) {
  byId('why').textContent = error.refused ? error.message : 'The session does not answer.';
  byId('retry').hidden = false;
  show('failure');
  byId('why').focus();
}

async function suggest() {
  const turn = (suggesting += 1);
  await wait(150);
  if (turn !== suggesting) return;
  try {
    const below = encodeURIComponent(byId('directory').value);
    const found = await ask('GET', `/directories?below=${below}`);
    if (turn !== suggesting) return;
    byId('directories').replaceChildren(
      ...found.directories.map(path => Object.assign(document.createElement('option'), { value: path }))
    );
  } catch {
    // suggestions are a help; the directory can be typed
  }
}

async function main() {
  let app;
  try {
    app = await ask('GET');
  } catch (error) {
    return trouble(error);
  }
  if (app.icon) {
    byId('icon').src = base + app.icon;
    byId('icon').hidden = false;
  }
  if (app.asks) {
    if (app.state === 'starting') return follow(app).catch(trouble);
    if (app.state === 'running' && wanted === app.directory) return go();
    choose(app);
    if (app.state === 'failed') fail(app);
    return undefined;
  }
  return app.state === 'running' ? go() : start({});
}

byId('choice').addEventListener('submit', event => {
  event.preventDefault();
  start({ directory: byId('directory').value });
});
byId('directory').addEventListener('input', suggest);
byId('retry').addEventListener('click', () => {
  show();
  main();
});
main();
