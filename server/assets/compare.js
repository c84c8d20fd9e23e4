// Explains a SignatureDoesNotMatch: where a caller's text to sign differs from the page's, and why
// that usually happens.

import { compareBytes, decode, encode } from './percent.js';

const V1_MARK = 'string to sign is:';
const V3_STRING = /StringToSign is \[([^\]]*)\]/;
const V3_REQUEST = /CanonicalRequest is \[([\s\S]*)\]/;

/** Characters shown before the first difference. */
const CONTEXT = 40;

/** What was pasted: { kind: 'v1' | 'v3-request' | 'v3-string' | 'unknown', text }. */
export function recognise(pasted) {
  let text = pasted.trim();
  const request = V3_REQUEST.exec(text);
  if (request) return { kind: 'v3-request', text: unquote(request[1]) };
  const string = V3_STRING.exec(text);
  if (string) return { kind: 'v3-string', text: unquote(string[1]) };
  const at = text.indexOf(V1_MARK);
  if (at >= 0) [text] = text.slice(at + V1_MARK.length).trim().split(/["\s<]/);
  text = text.replaceAll('&amp;', '&');
  if (/^[A-Za-z]+&%2[Ff]&/.test(text) || /^[A-Za-z]+&\/&/.test(text)) return { kind: 'v1', text };
  if (/^ACS3-/.test(text)) return { kind: 'v3-string', text: unquote(text) };
  if (/^[A-Za-z]+\r?\n\//.test(text) || /^[A-Za-z]+\\n\//.test(text)) {
    return { kind: 'v3-request', text: unquote(text) };
  }
  return { kind: 'unknown', text };
}

/** A text copied out of JSON has its line breaks as `\n`. */
function unquote(text) {
  const plain = text.includes('\n') ? text : text.replaceAll('\\n', '\n');
  return plain.replaceAll('\r\n', '\n');
}

/** The first place where two texts differ, or null. Offsets are UTF-16 units. */
export function firstDifference(ours, theirs) {
  if (ours === theirs) return null;
  let at = 0;
  while (at < ours.length && at < theirs.length && ours[at] === theirs[at]) at += 1;
  // Not between the halves of a character.
  if (at > 0 && /[\ud800-\udbff]/.test(ours[at - 1] ?? '')) at -= 1;
  const start = Math.max(0, at - CONTEXT);
  return { at, before: ours.slice(start, at), ours: ours.slice(at), theirs: theirs.slice(at) };
}

/**
 * Compares pasted text with the page's request.
 *
 * Answers { kind, equal, difference, hints }: hints are sentences, the most telling first.
 */
export function compare(request, pasted) {
  const { kind, text } = recognise(pasted);
  if (kind === 'unknown') {
    return { kind, equal: false, difference: null, hints: [
      'This is neither a string to sign of V1 (METHOD&%2F&…), nor a canonical request or string to sign of V3.'] };
  }
  const scheme = kind === 'v1' ? 'V1' : 'V3';
  if (scheme !== request.scheme) {
    return { kind, equal: false, difference: null, hints: [
      `Your text belongs to a ${scheme} signature. Choose ${scheme} above to compare.`] };
  }
  const ours = kind === 'v3-request' ? request.canonicalRequest : request.stringToSign;
  const difference = firstDifference(ours, text);
  if (!difference) {
    return { kind, equal: true, difference: null, hints: [
      'The texts are equal. If the signatures differ, the AccessKey Secret does, or how it is used: '
      + (scheme === 'V1'
        ? 'the key of HMAC-SHA1 is the secret followed by an ampersand, and the result is Base64.'
        : 'the key of HMAC-SHA256 is the bare secret, and the result is lower-case hexadecimal.')] };
  }
  if (kind === 'v1') return { kind, equal: false, difference, hints: v1Hints(ours, text) };
  if (kind === 'v3-string') {
    return { kind, equal: false, difference, hints: [
      'The hashes of the canonical requests differ. Paste your canonical request to see where.'] };
  }
  return { kind, equal: false, difference, hints: v3Hints(ours, text) };
}

function v1Parts(text) {
  const [method, path, ...rest] = text.split('&');
  const canonical = decode(rest.join('&')) ?? '';
  const raw = canonical.split('&').filter((pair) => pair !== '');
  const pairs = raw.map((pair) => {
    const at = pair.indexOf('=');
    return at < 0 ? [pair, ''] : [pair.slice(0, at), pair.slice(at + 1)];
  });
  return { method, path, pairs, hasRawAmpersand: rest.length > 1 };
}

function v1Hints(ours, theirs) {
  const hints = [];
  const [a, b] = [v1Parts(ours), v1Parts(theirs)];
  if (a.method !== b.method) {
    hints.push(b.method.toUpperCase() === a.method
      ? 'The method is written in upper case.'
      : `The method is ${a.method}; yours is ${b.method}. It is the method that is really used.`);
  }
  if (b.path !== '%2F') hints.push('The path is the encoded slash, %2F in upper case.');
  if (b.hasRawAmpersand) {
    hints.push('The query is encoded once more as a whole: its = and & become %3D and %26.');
  }
  hints.push(...pairHints(a.pairs, b.pairs));
  if (hints.length === 0) hints.push('The parameters are the same, but the text around them differs.');
  return hints;
}

/** What the lists of encoded pairs say about each other. */
function pairHints(ours, theirs) {
  const hints = [];
  const mine = new Map(ours);
  const yours = new Map(theirs);
  if (yours.has('Signature')) hints.push('Signature itself is not signed.');
  for (const name of mine.keys()) {
    if (!yours.has(name)) hints.push(`${name} is not in your text; every parameter is signed.`);
  }
  for (const [name, value] of yours) {
    if (!mine.has(name) && name !== 'Signature') {
      hints.push(`${name} is only in your text; the request above does not send it.`);
    } else if (mine.has(name) && mine.get(name) !== value) {
      hints.push(valueHint(name, mine.get(name), value));
    }
  }
  const names = theirs.map(([name]) => name);
  const inOrder = names.every((name, at) => at === 0 || compareBytes(names[at - 1], name) <= 0);
  if (!inOrder) {
    hints.push('Your parameters are not sorted by name; upper case comes before lower case.');
  }
  return hints;
}

/** Two encodings of a value, told apart by what usually goes wrong. */
function valueHint(name, ours, theirs) {
  const plain = decode(ours);
  if (theirs === ours.replace(/%[0-9A-F]{2}/g, (escape) => escape.toLowerCase())) {
    return `${name}: the digits of escapes are upper case (%3A, not %3a).`;
  }
  if (theirs.replaceAll('+', '%20') === ours) return `${name}: a space is %20, not +.`;
  if (theirs.replaceAll('*', '%2A') === ours) return `${name}: an asterisk is %2A.`;
  if (theirs.replaceAll('%7E', '~') === ours) return `${name}: a tilde is not encoded.`;
  if (theirs === plain) return `${name}: your value is not percent-encoded.`;
  if (theirs === encode(ours)) return `${name}: your value is encoded once too often.`;
  if (encode(decode(theirs) ?? '') === ours) {
    return `${name}: your value is the same but encoded otherwise; only A-Z a-z 0-9 - _ . ~ stay as they are.`;
  }
  if (name === 'SignatureNonce' || name === 'Timestamp') {
    return `${name} differs, as it does between any two requests; set it above to yours to compare the rest.`;
  }
  return `${name} has another value.`;
}

const V3_LINES = ['the method', 'the path, a single slash', 'the sorted query'];

function v3Hints(ours, theirs) {
  const hints = [];
  const [a, b] = [ours.split('\n'), theirs.split('\n')];
  for (const [at, what] of V3_LINES.entries()) {
    if (a[at] !== b[at] && at < 2) hints.push(`Line ${at + 1} is ${what}: ${a[at]}`);
  }
  const pairs = (line) => (line ?? '').split('&').filter((pair) => pair !== '').map((pair) => {
    const equals = pair.indexOf('=');
    return equals < 0 ? [pair, ''] : [pair.slice(0, equals), pair.slice(equals + 1)];
  });
  if (a[2] !== b[2]) hints.push(...pairHints(pairs(a[2]), pairs(b[2])));
  hints.push(...headerHints(a.slice(3), b.slice(3)));
  if (a.at(-1) !== b.at(-1)) {
    hints.push('The last line is the hash of the body: yours was made of another body, or of none.');
  }
  if (hints.length === 0) hints.push('The lines are the same, but blank lines or their order differ.');
  return hints;
}

function headerHints(ours, theirs) {
  const hints = [];
  const read = (lines) => new Map(lines.slice(0, -2).filter((l) => l.includes(':')).map((line) => {
    const at = line.indexOf(':');
    return [line.slice(0, at), line.slice(at + 1)];
  }));
  const [mine, yours] = [read(ours), read(theirs)];
  for (const name of yours.keys()) {
    if (name !== name.toLowerCase()) hints.push(`${name}: names of headers are lower case.`);
  }
  for (const [name, value] of mine) {
    if (!yours.has(name)) {
      hints.push(`The header ${name} is not in your text.`);
    } else if (yours.get(name) !== value) {
      const usual = name === 'x-acs-date' || name === 'x-acs-signature-nonce'
        ? ', as it does between any two requests; set it above to yours to compare the rest'
        : '';
      hints.push(`The header ${name} differs${usual}.`);
    }
  }
  for (const name of yours.keys()) {
    if (!mine.has(name) && name === name.toLowerCase()) {
      hints.push(`You sign ${name}, which the page does not. That is right if you send it.`);
    }
  }
  return hints;
}
