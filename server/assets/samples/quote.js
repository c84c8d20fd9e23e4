// Texts as literals, one function a language. Whatever the text, the literal means exactly it and
// ends where it should. Characters that cannot be seen, or reorder what is seen, become escapes.

const UNSEEN = /[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/;
const NAMED = { '\n': '\\n', '\r': '\\r', '\t': '\\t' };

function hex4(character) {
  return character.charCodeAt(0).toString(16).padStart(4, '0');
}

/** Code points; a lone half of one becomes U+FFFD, as it does in requests. */
function characters(text) {
  return Array.from(text, (c) => (/^[\ud800-\udfff]$/.test(c) ? '\ufffd' : c));
}

/** `escapes` maps characters with a meaning in literals; `unseen` writes an escape. */
function literal(mark, text, escapes, unseen) {
  const inner = characters(text).map((c) => {
    if (c === mark || c === '\\') return `\\${c}`;
    if (escapes[c] !== undefined) return escapes[c];
    return UNSEEN.test(c) ? unseen(c) : c;
  });
  return mark + inner.join('') + mark;
}

export function python(text) {
  return literal('"', text, NAMED, (c) => `\\u${hex4(c)}`);
}

export function javascript(text) {
  return literal("'", text, NAMED, (c) => `\\u${hex4(c)}`);
}

/** Java turns \uXXXX into characters before it looks for literals: controls are octal. */
export function java(text) {
  const octal = (c) => `\\${c.charCodeAt(0).toString(8).padStart(3, '0')}`;
  return literal('"', text, NAMED, (c) => (c < '\u0080' ? octal(c) : `\\u${hex4(c)}`));
}

export function go(text) {
  return literal('"', text, NAMED, (c) => `\\u${hex4(c)}`);
}

export function csharp(text) {
  return literal('"', text, NAMED, (c) => `\\u${hex4(c)}`);
}

export function rust(text) {
  return literal('"', text, NAMED, (c) => `\\u{${c.charCodeAt(0).toString(16)}}`);
}

/** Single quotes know no variables; only what cannot be seen needs double ones. */
export function php(text) {
  if (!UNSEEN.test(text)) return literal("'", text, {}, (c) => c);
  return literal('"', text, { ...NAMED, $: '\\$' }, (c) => `\\u{${c.charCodeAt(0).toString(16)}}`);
}

/** For bash. A NUL has no place in an argument and is left out. */
export function shell(text) {
  if (!UNSEEN.test(text)) return `'${characters(text).join('').replaceAll("'", "'\\''")}'`;
  const encoder = new TextEncoder();
  const bytes = (c) => Array.from(encoder.encode(c), (b) => `\\x${b.toString(16).padStart(2, '0')}`);
  return `$${literal("'", text.replaceAll('\0', ''), NAMED, (c) => bytes(c).join(''))}`;
}

/** A number as the table allows it: few enough digits for every language. */
export function isNumber(parameter) {
  return parameter.kind === 'integer' && /^(0|-?[1-9]\d{0,14})$/.test(parameter.value);
}
