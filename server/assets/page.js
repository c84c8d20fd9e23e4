// The page of an operation: form, signature, call, comparison, sample code.

import { button, copyable, element, fill, showScripted } from './dom.js';
import { controlsOf } from './controls.js';
import { compare } from './compare.js';
import { member, pretty } from './pretty.js';
import { freshNonce, requestText, sign, utc } from './sign.js';
import { subtleOf } from './hash.js';
import { LANGUAGES } from './samples/all.js';

/** Where a key is kept that shall last as long as the tab. */
const KEPT = 'haulage.explorer.key';
/** Where the chosen language is kept. */
const LANGUAGE = 'haulage.explorer.language';
/** Most calls that the page remembers. */
const HISTORY_LIMIT = 50;
/** Most characters of an answer that are shown. */
const SHOWN_LIMIT = 1_000_000;
/** What the form calls the parts of a call that travel in headers. */
const FIELDS = { keyId: 'AccessKey ID', token: 'SecurityToken', time: 'Time', nonce: 'Nonce' };
/** A call is given up after this many milliseconds. */
const CALL_TIMEOUT = 60_000;

const at = (id) => document.getElementById(id);
const operation = at('call').dataset;
const isOurs = 'ours' in operation;
const controls = controlsOf(at('form'), changed);
/** The request shown last; the comparison works on it. */
let shown = null;
/** Of the preview that is being made; an older one that ends later is dropped. */
let preview = 0;
/** Time and nonce of the preview, kept while people type. */
const idle = { time: utc(new Date()), nonce: freshNonce() };

function params() {
  return controls
    .map(({ name, kind, ours, value }) => ({ name, kind, ours, value: value() }))
    .filter(({ value }) => value !== '');
}

function port() {
  return location.port || (location.protocol === 'https:' ? '443' : '80');
}

/** The call of the form, at a moment. */
function call(moment) {
  return {
    scheme: at('scheme').value,
    method: at('method').value,
    format: at('format').value,
    action: operation.action,
    version: operation.version,
    ours: isOurs,
    params: params(),
    protocol: location.protocol.replace(':', ''),
    host: location.host,
    hostname: location.hostname,
    port: port(),
    keyId: at('key-id').value.trim(),
    secret: at('key-secret').value.trim(),
    token: at('token').value.trim(),
    time: at('time').value.trim() || moment.time,
    nonce: at('nonce').value.trim() || moment.nonce,
  };
}

function signed(made) {
  const pairs = made.params.map(({ name, value }) => [name, value]);
  return sign({ ...made, params: pairs }, subtleOf());
}

function checkControls() {
  let first = null;
  for (const control of controls) {
    const problem = control.problem();
    control.say(problem);
    if (problem && !first) first = control;
  }
  return first;
}

async function changed() {
  checkControls();
  const mine = preview += 1;
  const made = call(idle);
  showSample(made);
  const request = await signed(made);
  if (mine === preview) showRequest(request, 'As it would be sent now. Send takes a new time and nonce.');
}

function showRequest(request, note) {
  shown = request;
  const canonicalName = request.scheme === 'V1' ? 'Canonical query' : 'Canonical request';
  const steps = [
    [canonicalName, request.scheme === 'V1'
      ? 'All parameters but Signature, sorted by name, percent-encoded.'
      : 'Method, path, sorted query, signed headers, their names, hash of the body.',
    request.canonicalRequest],
    ['String to sign', request.scheme === 'V1'
      ? 'Method, encoded slash, and the canonical query encoded once more.'
      : 'The algorithm and the SHA-256 of the canonical request.',
    request.stringToSign],
    ['Signature', request.scheme === 'V1'
      ? 'HMAC-SHA1 with the secret and an ampersand as key, in Base64.'
      : 'HMAC-SHA256 with the secret as key, in hexadecimal.',
    at('key-secret').value.trim() === '' ? `(there is no secret yet) ${request.signature}` : request.signature],
    ['Request', 'What goes over the wire; the browser adds headers that are not signed.', requestText(request)],
  ];
  at('steps-note').textContent = note;
  fill(at('steps-list'), ...steps.map(([name, doc, text]) => element('li', {},
    element('h3', {}, name), element('p', { class: 'soft' }, doc), copyable(name, text))));
  showComparison();
}

function showComparison() {
  const pasted = at('theirs').value;
  if (pasted.trim() === '' || !shown) {
    fill(at('compared'));
    return;
  }
  fill(at('compared'), ...comparison(compare(shown, pasted)));
}

/** What a comparison says, as elements. */
function comparison({ equal, difference, hints }) {
  const parts = [element('p', { class: equal ? 'good' : 'bad' },
    equal ? 'The texts are equal.' : 'The texts differ, or cannot be compared.')];
  if (difference) {
    const side = (name, text) => element('div', {}, element('h4', {}, name),
      element('pre', { dir: 'ltr', tabindex: '0', role: 'region', 'aria-label': name },
        difference.before, element('mark', {}, text.slice(0, 1) || '(ends here)'), text.slice(1)));
    parts.push(element('p', {}, `First difference at character ${difference.at + 1}:`),
      element('div', { class: 'sides' }, side('This page', difference.ours), side('Yours', difference.theirs)));
  }
  parts.push(element('ul', {}, ...hints.map((hint) => element('li', {}, hint))));
  return parts;
}

async function send() {
  const wrong = checkControls();
  if (wrong) {
    at('sending').textContent = `Not sent: look at ${wrong.name}.`;
    at(`p-${wrong.name}`).scrollIntoView({ block: 'nearest' });
    return;
  }
  const made = call({ time: utc(new Date()), nonce: freshNonce() });
  if (made.keyId === '' || made.secret === '') {
    at('sending').textContent = 'Not sent: fill in AccessKey ID and AccessKey Secret.';
    at(made.keyId === '' ? 'key-id' : 'key-secret').focus();
    return;
  }
  const odd = ['keyId', 'token', 'time', 'nonce'].find((name) => /[^\x21-\x7e]/.test(made[name]));
  if (odd) {
    at('sending').textContent = `Not sent: ${FIELDS[odd]} has a space or a character that no header can carry.`;
    return;
  }
  at('send').disabled = true;
  at('sending').textContent = 'Sending…';
  preview += 1;
  const entry = { when: made.time, request: await signed(made) };
  showRequest(entry.request, `As it was sent at ${entry.when}.`);
  const started = performance.now();
  try {
    const { method, path, headers, body } = entry.request;
    const response = await fetch(path, {
      method,
      headers,
      body: body ?? undefined,
      cache: 'no-store',
      credentials: 'omit',
      redirect: 'error',
      referrerPolicy: 'no-referrer',
      signal: AbortSignal.timeout(CALL_TIMEOUT),
    });
    const text = await response.text();
    entry.answer = { status: response.status, headers: [...response.headers], text };
    at('sending').textContent = `Answered: ${response.status}`;
  } catch (error) {
    entry.problem = error.name === 'TimeoutError'
      ? 'The server did not answer within a minute.'
      : `The server could not be reached (${error.message}). Is it still running at ${location.host}?`;
    at('sending').textContent = 'No answer.';
  }
  entry.ms = Math.round(performance.now() - started);
  at('send').disabled = false;
  remember(entry);
  showAnswer(entry);
  bringIntoView();
}

/** The answer, wherever the layout has it: in sight beside the form, or below it. */
function bringIntoView() {
  const results = at('results');
  if (getComputedStyle(results).position === 'sticky') results.scrollTop = 0;
  else at('answer').scrollIntoView();
}

function remember(entry) {
  const status = entry.answer ? String(entry.answer.status) : 'no answer';
  const text = `${entry.when} · ${entry.request.scheme} ${entry.request.method} · ${status} · ${entry.ms} ms`;
  const open = () => {
    showAnswer(entry);
    showRequest(entry.request, `As it was sent at ${entry.when}.`);
  };
  const history = at('history');
  history.prepend(element('li', {}, button(text, open)));
  while (history.children.length > HISTORY_LIMIT) history.lastElementChild.remove();
  at('history-empty').hidden = true;
}

function showAnswer({ answer, problem, request, ms }) {
  if (problem) {
    fill(at('answer-body'), element('p', { class: 'bad' }, problem));
    return;
  }
  const type = answer.headers.find(([name]) => name === 'content-type')?.[1] ?? '';
  const isLong = answer.text.length > SHOWN_LIMIT;
  const text = answer.text.slice(0, SHOWN_LIMIT);
  const parts = [element('p', {},
    element('strong', { class: answer.status === 200 ? 'good' : 'bad' }, `HTTP ${answer.status}`), ` in ${ms} ms`)];
  const code = member(answer.text, 'Code');
  if (answer.status !== 200 && code !== '') {
    parts.push(element('p', {}, 'What to do: ',
      element('a', { href: `/errors/${encodeURIComponent(code)}` }, code)));
  }
  const wait = answer.headers.find(([name]) => name === 'x-acs-retry-after')?.[1];
  if (wait) parts.push(element('p', {}, `There is room again in ${wait} ms.`));
  if (answer.status === 414 || answer.status === 431) {
    parts.push(element('p', {}, 'The parameters are too long for a request line: choose POST, which sends them in the body.'));
  }
  if (code === 'SignatureDoesNotMatch') {
    const said = compare(request, member(answer.text, 'Message'));
    parts.push(element('div', { class: 'notice' }, element('p', {}, "The server's text to sign beside this page's:"),
      ...comparison(said)));
  }
  if (isLong) parts.push(element('p', { class: 'soft' }, `The first ${SHOWN_LIMIT} characters of ${answer.text.length}.`));
  const headers = answer.headers.map(([name, value]) => `${name}: ${value}`).join('\n');
  const section = (title, content, open) => element('details', { open },
    element('summary', {}, title), copyable(title, content));
  parts.push(section('Body', isLong ? text : pretty(type, text), true),
    section('Body as it came', text, false), section('Headers', headers, false));
  fill(at('answer-body'), ...parts);
}

function chosenLanguage() {
  return document.querySelector('input[name=language]:checked')?.value ?? LANGUAGES[0].id;
}

function showSample(made) {
  const language = LANGUAGES.find(({ id }) => id === chosenLanguage()) ?? LANGUAGES[0];
  at('sample-note').textContent = language.note;
  fill(at('sample'), copyable(`Sample code, ${language.label}`, language.sample(made)));
}

/** The browser may forbid storage; then nothing is kept. */
function stored(name, value) {
  try {
    if (value === undefined) return sessionStorage.getItem(name);
    if (value === null) sessionStorage.removeItem(name);
    else sessionStorage.setItem(name, value);
  } catch {
    // As said.
  }
  return null;
}

function keepKey() {
  const pair = JSON.stringify([at('key-id').value, at('key-secret').value]);
  stored(KEPT, at('key-keep').checked ? pair : null);
}

function restoreKey() {
  const kept = stored(KEPT);
  if (kept === null) return;
  try {
    [at('key-id').value, at('key-secret').value] = JSON.parse(kept);
    at('key-keep').checked = true;
  } catch {
    stored(KEPT, null);
  }
}

function showLanguages() {
  const wanted = stored(LANGUAGE) ?? LANGUAGES[0].id;
  fill(at('languages'), ...LANGUAGES.map(({ id, label }) => {
    const input = element('input', { type: 'radio', name: 'language', value: id, checked: id === wanted });
    input.addEventListener('change', () => { stored(LANGUAGE, id); showSample(call(idle)); });
    return element('label', { class: 'tab' }, input, ' ', label);
  }));
}

function start() {
  restoreKey();
  showLanguages();
  for (const id of ['key-id', 'key-secret', 'key-keep']) at(id).addEventListener('input', keepKey);
  at('form').addEventListener('input', changed);
  at('form').addEventListener('submit', (event) => { event.preventDefault(); send(); });
  at('theirs').addEventListener('input', showComparison);
  at('examples').addEventListener('click', () => {
    const needed = controls.filter(({ required }) => required);
    for (const control of needed.length > 0 ? needed : controls.slice(0, 1)) {
      if (control.value() === '') control.set(control.example);
    }
    changed();
  });
  at('clear').addEventListener('click', () => {
    for (const control of controls) control.set('');
    changed();
  });
  showScripted();
  changed();
}

start();
