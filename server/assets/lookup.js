// From a pasted error to its page in the error centre, and to the server's own record of the request.

import { element, fill } from './dom.js';
import { member } from './pretty.js';

/** The code that a body in JSON or XML, or a text with nothing but a code, names; or nothing. */
export function codeOf(pasted) {
  const text = pasted.trim();
  const named = member(text, 'Code') || /"?Code"?\s*[:=]\s*"?([A-Za-z][A-Za-z0-9.]*)/.exec(text)?.[1];
  if (named) return named;
  return /^[A-Za-z][A-Za-z0-9.]*$/.test(text) ? text : '';
}

const ID = /\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b/i;

/** The RequestId that a body names, or the one that a text has anywhere; or nothing. */
export function requestOf(pasted) {
  const text = pasted.trim();
  return ID.exec(member(text, 'RequestId') ?? '')?.[0] ?? ID.exec(text)?.[0] ?? '';
}

function show(pasted) {
  const found = document.getElementById('found');
  const [code, id] = [codeOf(pasted), requestOf(pasted)];
  const said = [];
  if (code) said.push('Cause and fix: ', element('a', { href: `/errors/${encodeURIComponent(code)}` }, code), '. ');
  if (id) {
    said.push(element('a', { href: `/console/requests?id=${encodeURIComponent(id)}` }, 'The server’s record of this request'),
      ', for the account whose key signed it.');
  }
  if (said.length === 0 && pasted.trim() !== '') said.push('There is no code and no RequestId in this text.');
  fill(found, ...said);
}

if (typeof document !== 'undefined') {
  const field = document.getElementById('lookup');
  field.addEventListener('input', () => show(field.value));
}
