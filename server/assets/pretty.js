// Answers, made readable without changing them: numbers and strings stay the text they are, so a
// number of twenty digits keeps all of them.

/** Characters that reorder or hide text; in strings of JSON they can be shown as escapes. */
const UNSEEN = /[\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

/** Indented JSON, token by token; the text itself if it is no JSON. */
export function prettyJson(text) {
  try {
    JSON.parse(text);
  } catch {
    return text;
  }
  const tokens = text.match(/"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/g) ?? [];
  let out = '';
  let depth = 0;
  const line = () => `\n${'  '.repeat(depth)}`;
  tokens.forEach((token, at) => {
    const isEmpty = tokens[at + 1] === '}' || tokens[at + 1] === ']';
    const wasEmpty = tokens[at - 1] === '{' || tokens[at - 1] === '[';
    if (token === '{' || token === '[') {
      depth += 1;
      out += isEmpty ? token : token + line();
    } else if (token === '}' || token === ']') {
      depth -= 1;
      out += wasEmpty ? token : line() + token;
    } else if (token === ',') {
      out += token + line();
    } else if (token === ':') {
      out += ': ';
    } else {
      out += token.startsWith('"') ? visible(token) : token;
    }
  });
  return out;
}

/** As escapes of JSON, which mean the same. */
export function visible(text) {
  return text.replace(UNSEEN, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** Indented XML: a line for each tag; an element with text only stays on one line. */
export function prettyXml(text) {
  const parts = text.match(/<[^>]*>|[^<]+/g) ?? [];
  let out = '';
  let depth = 0;
  parts.forEach((part, at) => {
    const isTag = part.startsWith('<');
    const closes = part.startsWith('</');
    if (closes) depth -= 1;
    const afterText = at > 0 && !parts[at - 1].startsWith('<');
    const joins = !isTag || (closes && (afterText || isOpening(parts[at - 1] ?? '')));
    if (!joins && at > 0) out += `\n${'  '.repeat(Math.max(depth, 0))}`;
    out += part;
    if (isOpening(part)) depth += 1;
  });
  return out;
}

function isOpening(part) {
  return /^<[^/?!]/.test(part) && !part.endsWith('/>');
}

/** By the content type. */
export function pretty(contentType, text) {
  return /xml/.test(contentType) ? prettyXml(text) : prettyJson(text);
}

/** The value of a member of the outermost object or element, for the few texts the page reads. */
export function member(text, name) {
  try {
    const value = JSON.parse(text)[name];
    return typeof value === 'string' ? value : '';
  } catch {
    const found = new RegExp(`<${name}>([^<]*)</${name}>`).exec(text);
    return found ? unescapeXml(found[1]) : '';
  }
}

function unescapeXml(text) {
  const names = { lt: '<', gt: '>', quot: '"', apos: "'", amp: '&' };
  return text.replace(/&(#x[0-9a-fA-F]+|#\d+|\w+);/g, (whole, name) => {
    if (name.startsWith('#')) {
      const code = name[1] === 'x' ? parseInt(name.slice(2), 16) : parseInt(name.slice(1), 10);
      return code <= 0x10ffff ? String.fromCodePoint(code) : whole;
    }
    return names[name] ?? whole;
  });
}
