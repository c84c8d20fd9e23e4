// Keeps a page of the console true. The server sends the parts that changed; a part is put in the
// place of the old one, and what the reader had there stays: focus, chosen boxes, typed texts, open
// details, places of scroll boxes. Without this script a reload shows the same.

import { copy, element, showScripted } from './dom.js';

/** After a stream was refused, wait this long, in milliseconds. */
const PAUSE = 10_000;
/** What the server takes of a form, in bytes as they are sent. */
const FORM_LIMIT = 1_048_576;

const note = document.getElementById('live-note');

/** Says how the page is kept, in the note of the page and to screen readers. */
function say(state, text) {
  if (!note || note.textContent === text) return;
  note.dataset.state = state;
  note.textContent = text;
}

/** The first badge of a part: its state in a word. */
function stateOf(part) {
  return part.querySelector('.badge')?.textContent;
}

/** What the reader did in a part. */
function keep(part) {
  const boxes = new Set([...part.querySelectorAll('input:checked[id]')].map((box) => box.id));
  const isTyped = (field) => field.value !== field.defaultValue;
  const fields = part.querySelectorAll('input[id]:not([type="checkbox"], [type="hidden"]), textarea[id]');
  const typed = new Map([...fields].filter(isTyped).map((field) => [field.id, field.value]));
  const open = new Set([...part.querySelectorAll('details[open][id]')].map((box) => box.id));
  const scrolls = [...part.querySelectorAll('.scroll')].map((box) => [box.scrollLeft, box.scrollTop]);
  const active = part.contains(document.activeElement) ? document.activeElement : null;
  const path = [];
  for (let at = active; at && at !== part; at = at.parentElement) {
    path.unshift([...at.parentElement.children].indexOf(at));
  }
  return { boxes, typed, open, scrolls, active, path };
}

function restore(part, kept) {
  for (const id of kept.boxes) {
    const box = document.getElementById(id);
    if (box) box.checked = true;
  }
  for (const [id, value] of kept.typed) {
    const field = document.getElementById(id);
    if (field) field.value = value;
  }
  for (const id of kept.open) document.getElementById(id)?.setAttribute('open', '');
  [...part.querySelectorAll('.scroll')].forEach((box, at) => {
    [box.scrollLeft, box.scrollTop] = kept.scrolls[at] ?? [0, 0];
  });
  if (!kept.active) return;
  const byId = kept.active.id && document.getElementById(kept.active.id);
  const byPath = kept.path.reduce((at, index) => at?.children[index], part);
  (byId || byPath)?.focus({ preventScroll: true });
}

/** Whether the reader is choosing text in a part; it is left alone then. */
function isBeingRead(part) {
  const selection = getSelection();
  return selection && !selection.isCollapsed && selection.containsNode(part, true);
}

function replace(id, html) {
  const old = document.getElementById(id);
  if (!old || !('live' in old.dataset) || isBeingRead(old)) return;
  // The one place that parses markup: it is a part of this very page, as the server renders it,
  // with every value in it escaped. A parsed document runs nothing, and the policy of the page
  // lets nothing inline run.
  const part = new DOMParser().parseFromString(html, 'text/html').body.firstElementChild;
  if (!part || part.id !== id) return;
  const kept = keep(old);
  const [before, after] = [stateOf(old), stateOf(part)];
  restoreOpen(part, kept);
  if (old.isEqualNode(part)) return;
  old.replaceWith(part);
  restore(part, kept);
  if (id === 'state' && before !== after) say('on', `Now: ${after}`);
}

/** Before the comparison, so that an opened box is no difference. */
function restoreOpen(part, kept) {
  for (const box of part.querySelectorAll('details[id]')) {
    if (kept.open.has(box.id)) box.setAttribute('open', '');
  }
}

function watch(address) {
  let stream = null;
  const start = () => {
    if (document.hidden || stream) return;
    stream = new EventSource(address);
    stream.addEventListener('open', () => say('on', 'Live'));
    stream.addEventListener('part', (event) => {
      const { id, html } = JSON.parse(event.data);
      replace(id, html);
    });
    stream.addEventListener('over', () => {
      stop();
      address = null;
      say('lost', 'Your session is over. Reload to sign in again.');
    });
    stream.addEventListener('draining', () => say('lost', 'The server is stopping.'));
    stream.addEventListener('error', () => {
      say('lost', 'Connection lost; trying again.');
      if (stream?.readyState === EventSource.CLOSED) {
        stop();
        setTimeout(() => { if (address) start(); }, PAUSE);
      }
    });
  };
  const stop = () => {
    stream?.close();
    stream = null;
  };
  // A page that nobody sees costs nothing.
  document.addEventListener('visibilitychange', () => {
    if (document.hidden) stop();
    else if (address) start();
  });
  addEventListener('pagehide', stop);
  start();
}

/** Whether the server answers at all. */
async function isThere() {
  try {
    await fetch('/livez', { cache: 'no-store', credentials: 'omit' });
    return true;
  } catch {
    return false;
  }
}

/** Why a form is better not sent, or nothing. */
async function whyNot(form) {
  const size = new URLSearchParams(new FormData(form)).toString().length;
  if (size > FORM_LIMIT) return `This is too long: a form may have 1 MiB, and it has ${(size / 1_048_576).toFixed(1)}.`;
  return await isThere() ? '' : 'The server does not answer. Try again in a moment.';
}

// A form that goes to a server that is gone, or is too large for it, is answered by a page in which
// nothing typed is left. So that is looked at first, and the form stays.
let isSure = false;
document.addEventListener('submit', async (event) => {
  const { target: form, submitter } = event;
  if (isSure || form.method !== 'post') return;
  event.preventDefault();
  if (form.dataset.asking) return;
  form.dataset.asking = 'yes';
  const problem = await whyNot(form);
  delete form.dataset.asking;
  form.querySelector('.unsent')?.remove();
  if (problem) {
    const text = `${problem} Nothing was sent, and what you typed is still here.`;
    form.prepend(element('p', { class: 'notice warn unsent', role: 'alert' }, text));
    return;
  }
  isSure = true;
  form.requestSubmit(submitter);
  isSure = false;
});

for (const button of document.querySelectorAll('[data-copy]')) {
  button.addEventListener('click', async () => {
    const done = await copy(document.getElementById(button.dataset.copy).textContent);
    document.getElementById('copied').textContent = done ? 'Copied.' : 'The browser does not let this page copy.';
  });
}

showScripted();
// On a phone the navigation is a strip; the place one is at is in sight.
document.querySelector('.side [aria-current]')?.scrollIntoView({ block: 'nearest', inline: 'center' });
if (document.body.dataset.liveFrom) watch(document.body.dataset.liveFrom);
