// From a pasted error to its page in the error centre.

import { element, fill } from './dom.js';
import { member } from './pretty.js';

/** The code that a body in JSON or XML, or a text with nothing but a code, names; or nothing. */
export function codeOf(pasted) {
  const text = pasted.trim();
  const named = member(text, 'Code') || /"?Code"?\s*[:=]\s*"?([A-Za-z][A-Za-z0-9.]*)/.exec(text)?.[1];
  if (named) return named;
  return /^[A-Za-z][A-Za-z0-9.]*$/.test(text) ? text : '';
}

function show(pasted) {
  const found = document.getElementById('found');
  const code = codeOf(pasted);
  if (pasted.trim() === '') fill(found);
  else if (code === '') fill(found, 'There is no code in this text.');
  else fill(found, 'Cause and fix: ', element('a', { href: `/errors/${encodeURIComponent(code)}` }, code));
}

if (typeof document !== 'undefined') {
  const field = document.getElementById('lookup');
  field.addEventListener('input', () => show(field.value));
}
