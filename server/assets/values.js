// From what people type to the text of a parameter (contract §9.1).

import { decode, encode } from './percent.js';

const HTTP = /^https?:\/\//i;
const ENCODED_HTTP = /^https?%3a/i;

/** An item of a list of URLs: percent-encoded; what is encoded already stays. */
export function urlItem(text) {
  const url = text.trim();
  if (ENCODED_HTTP.test(url)) return url.replaceAll(',', '%2C').replaceAll(' ', '%20');
  return encode(url);
}

/** The URL that an item means; for showing it, and for the command line. */
export function plainUrl(item) {
  const text = item.trim();
  return HTTP.test(text) ? text : decode(text) ?? text;
}

/** A comma list of URLs from rows; empty rows are left out. */
export function urlList(rows) {
  return rows.filter((row) => row.trim() !== '').map(urlItem).join(',');
}

/** A comma list from rows; empty rows are left out. */
export function list(rows) {
  return rows.map((row) => row.trim()).filter((row) => row !== '').join(',');
}

/** The rows of a list's text: the way back, for examples. */
export function rowsOf(kind, text) {
  return text.split(',').map((item) => (kind === 'urls' ? plainUrl(item) : item.trim()));
}

/** What is wrong with the rows, or nothing. */
export function rowsProblem(kind, rows, most) {
  const filled = rows.filter((row) => row.trim() !== '');
  if (most > 0 && filled.length > most) return `At most ${most} rows; there are ${filled.length}.`;
  for (const [at, row] of filled.entries()) {
    if (kind === 'list' && row.includes(',')) {
      return `Row ${at + 1} has a comma, which separates the items of this list.`;
    }
    if (kind === 'urls' && !HTTP.test(row.trim()) && !ENCODED_HTTP.test(row.trim())) {
      return `Row ${at + 1} does not begin with http:// or https://.`;
    }
  }
  return '';
}

/** JSON of one metadata object. All values are strings: no digit is lost. */
function metadataObject(fields) {
  const members = fields
    .filter(([, value]) => value !== '')
    .map(([name, value]) => {
      // The cloud matches the text of the item in UploadURLs.
      const text = name === 'SourceURL' ? urlItem(value) : value;
      return `${JSON.stringify(name)}:${JSON.stringify(text)}`;
    });
  return `{${members.join(',')}}`;
}

/** JSON of UploadMetadatas; empty without a filled entry. */
export function metadatas(entries) {
  const filled = entries.filter((fields) => fields.some(([, value]) => value !== ''));
  return filled.length === 0 ? '' : `[${filled.map(metadataObject).join(',')}]`;
}

/** JSON of UserData; empty without parts. `Extend` stays as typed if it is a JSON object. */
export function userData({ CallbackURL = '', Extend = '' }) {
  const members = [];
  if (CallbackURL.trim() !== '') {
    const url = JSON.stringify(CallbackURL.trim());
    members.push(`"MessageCallback":{"CallbackURL":${url},"CallbackType":"http"}`);
  }
  if (Extend !== '') members.push(`"Extend":${isObject(Extend) ? Extend.trim() : JSON.stringify(Extend)}`);
  return members.length === 0 ? '' : `{${members.join(',')}}`;
}

function isObject(text) {
  try {
    const value = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value);
  } catch {
    return false;
  }
}

/** Why a text is no JSON, or nothing. */
export function jsonProblem(text) {
  if (text.trim() === '') return '';
  try {
    JSON.parse(text);
    return '';
  } catch (error) {
    return `This is not JSON: ${error.message}`;
  }
}
