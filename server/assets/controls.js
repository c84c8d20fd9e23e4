// The controls of the parameters: what was typed, as the text of each parameter.

import { element } from './dom.js';
import {
  jsonProblem, list, metadatas, rowsOf, rowsProblem, urlList, userData,
} from './values.js';

/** Said while the JSON was edited by hand. */
const BY_HAND = 'Edited by hand; a change in the fields above writes it anew.';

/** All controls of a form; `changed` is called after every change. */
export function controlsOf(form, changed) {
  return Array.from(form.querySelectorAll('[data-param]'), (root) => control(root, changed));
}

function control(root, changed) {
  const { param: name, kind } = root.dataset;
  const made = {
    name,
    kind,
    ours: 'ours' in root.dataset,
    required: 'required' in root.dataset,
    ...(MAKERS[kind] ?? plain)(root, changed),
  };
  const example = root.querySelector('[data-example]');
  root.querySelector('[data-use-example]')?.addEventListener('click', () => {
    made.set(example.textContent);
    changed();
  });
  made.example = example?.textContent ?? '';
  made.say = (problem) => {
    root.querySelector('[data-problem]').textContent = problem;
    for (const input of root.querySelectorAll('[data-value], [data-item]')) {
      if (problem) input.setAttribute('aria-invalid', 'true');
      else input.removeAttribute('aria-invalid');
    }
  };
  return made;
}

function plain(root) {
  const input = root.querySelector('[data-value]');
  return {
    value: () => input.value,
    set: (text) => { input.value = text; },
    problem: () => (root.dataset.kind === 'json' ? jsonProblem(input.value) : ''),
  };
}

function choices(root) {
  const boxes = Array.from(root.querySelectorAll('[data-choice]'));
  return {
    value: () => boxes.filter((box) => box.checked).map((box) => box.value).join(','),
    set: (text) => {
      const chosen = text.split(',').map((item) => item.trim().toLowerCase());
      for (const box of boxes) box.checked = chosen.includes(box.value.toLowerCase());
    },
    problem: () => '',
  };
}

function rows(root, changed) {
  const { param: name, kind } = root.dataset;
  const most = Number(root.dataset.items);
  const holder = root.querySelector('[data-rows]');
  const model = holder.querySelector('[data-row]').cloneNode(true);
  const inputs = () => Array.from(holder.querySelectorAll('[data-item]'));
  const values = () => inputs().map((input) => input.value);
  const number = () => {
    inputs().forEach((input, at) => {
      input.id = `c-${name}-${at + 1}`;
      input.setAttribute('aria-label', `${name}, row ${at + 1}`);
      const remove = input.parentElement.querySelector('[data-remove]');
      remove.hidden = false;
      remove.setAttribute('aria-label', `Remove row ${at + 1} of ${name}`);
    });
    root.querySelector('[data-count]').textContent = `${inputs().length} of at most ${most}`;
    root.querySelector('[data-add]').disabled = inputs().length >= most;
  };
  const add = (text = '') => {
    const row = model.cloneNode(true);
    row.querySelector('[data-item]').value = text;
    holder.append(row);
    number();
    return row.querySelector('[data-item]');
  };
  root.querySelector('[data-add]').addEventListener('click', () => { add().focus(); changed(); });
  holder.addEventListener('click', (event) => {
    const remove = event.target.closest('[data-remove]');
    if (!remove) return;
    remove.closest('[data-row]').remove();
    if (inputs().length === 0) add();
    number();
    inputs().at(-1).focus();
    changed();
  });
  // A pasted list becomes rows.
  holder.addEventListener('paste', (event) => {
    const lines = (event.clipboardData?.getData('text') ?? '').split(/\r?\n/).filter((l) => l.trim());
    if (lines.length < 2 || !event.target.matches('[data-item]')) return;
    event.preventDefault();
    const free = most - inputs().filter((input) => input !== event.target).length;
    const taken = lines.slice(0, Math.max(free, 1));
    [event.target.value] = taken;
    taken.slice(1).forEach((line) => add(line.trim()));
    changed();
  });
  number();
  return {
    value: () => (kind === 'urls' ? urlList(values()) : list(values())),
    set: (text) => {
      holder.replaceChildren();
      for (const row of text === '' ? [''] : rowsOf(kind, text)) add(row);
    },
    problem: () => rowsProblem(kind, values(), most),
  };
}

/** A text of JSON under fields that write it. */
function written(root, made, changed) {
  const area = root.querySelector('[data-made]');
  const note = element('p', { class: 'soft', role: 'status' });
  area.after(note);
  area.addEventListener('input', () => { note.textContent = BY_HAND; });
  const write = () => {
    area.value = made();
    note.textContent = '';
    changed();
  };
  return {
    write,
    value: () => area.value,
    set: (text) => {
      area.value = text;
      note.textContent = text === '' ? '' : BY_HAND;
    },
    problem: () => jsonProblem(area.value),
  };
}

function metadataEditor(root, changed) {
  const holder = root.querySelector('[data-entries]');
  const template = document.getElementById('entry-template');
  let made = 0;
  const fields = (entry) => Array.from(entry.querySelectorAll('[data-field]'),
    (field) => [field.dataset.field, field.querySelector('[data-value]').value]);
  const json = written(root, () => metadatas(
    Array.from(holder.querySelectorAll('[data-entry]'), fields)), changed);
  holder.addEventListener('input', (event) => { event.stopPropagation(); json.write(); });
  holder.addEventListener('click', (event) => {
    const remove = event.target.closest('[data-remove-entry]');
    if (!remove) return;
    remove.closest('[data-entry]').remove();
    root.querySelector('[data-add-entry]').focus();
    json.write();
  });
  root.querySelector('[data-add-entry]').addEventListener('click', () => {
    made += 1;
    const entry = template.content.firstElementChild.cloneNode(true);
    entry.querySelector('legend').textContent = `Metadata ${made}`;
    // Ids are unique in a page; the template's serve every entry.
    for (const part of entry.querySelectorAll('[id], [for], [aria-describedby]')) {
      for (const attribute of ['id', 'for', 'aria-describedby']) {
        const name = part.getAttribute(attribute);
        if (name) part.setAttribute(attribute, `${name}-${made}`);
      }
    }
    holder.append(entry);
    entry.querySelector('[data-value]').focus();
  });
  return {
    ...json,
    set: (text) => { if (text === '') holder.replaceChildren(); json.set(text); },
  };
}

function userDataEditor(root, changed) {
  const parts = Array.from(root.querySelectorAll('[data-part]'),
    (part) => [part.dataset.part, part.querySelector('[data-value]')]);
  const json = written(root, () => userData(
    Object.fromEntries(parts.map(([name, input]) => [name, input.value]))), changed);
  for (const [, input] of parts) {
    input.addEventListener('input', (event) => { event.stopPropagation(); json.write(); });
  }
  return {
    ...json,
    set: (text) => {
      if (text === '') parts.forEach(([, input]) => { input.value = ''; });
      json.set(text);
    },
  };
}

const MAKERS = {
  some: choices,
  list: rows,
  urls: rows,
  metadata: metadataEditor,
  userdata: userDataEditor,
};
