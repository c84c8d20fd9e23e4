// Percent-encoding as both signatures use it: every byte but A-Z a-z 0-9 - _ . ~ as %XX.

/** Halves of characters that have lost their other half. */
const LONE = /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;
const encoder = new TextEncoder();

/** The canonical encoding of a text. Lone surrogates become U+FFFD, as they do in requests. */
export function encode(text) {
  // What the built-in function leaves although the signatures do not.
  const escape = (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`;
  return encodeURIComponent(text.replace(LONE, '\ufffd')).replace(/[!'()*]/g, escape);
}

/** Decodes form text once (`+` is a space); null if it is broken or not UTF-8. */
export function decode(text) {
  const bytes = [];
  const source = encoder.encode(text);
  for (let at = 0; at < source.length; at += 1) {
    if (source[at] === 0x2b) {
      bytes.push(0x20);
    } else if (source[at] === 0x25) {
      const digits = String.fromCharCode(source[at + 1] || 0, source[at + 2] || 0);
      if (!/^[0-9A-Fa-f]{2}$/.test(digits)) return null;
      bytes.push(parseInt(digits, 16));
      at += 2;
    } else {
      bytes.push(source[at]);
    }
  }
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(new Uint8Array(bytes));
  } catch {
    return null;
  }
}

/** Order of UTF-8 bytes, which is the order of code points and not of UTF-16 units. */
export function compareBytes(one, other) {
  const [a, b] = [encoder.encode(one), encoder.encode(other)];
  const shorter = Math.min(a.length, b.length);
  for (let at = 0; at < shorter; at += 1) {
    if (a[at] !== b[at]) return a[at] - b[at];
  }
  return a.length - b.length;
}

/** `name=value&…`, encoded, in the order given. */
export function form(pairs) {
  return pairs.map(([name, value]) => `${encode(name)}=${encode(value)}`).join('&');
}
