// Both signatures, step by step, as the page shows them. Pure: time, nonce and host are given.

import { compareBytes, encode, form } from './percent.js';
import { base64, digest256, hex, hmac1, hmac256, subtleOf } from './hash.js';

export const FORM = 'application/x-www-form-urlencoded';
export const ALGORITHM = 'ACS3-HMAC-SHA256';

/** By name, then by value, in the order of their bytes. */
export function sorted(pairs) {
  return [...pairs].sort((a, b) => compareBytes(a[0], b[0]) || compareBytes(a[1], b[1]));
}

/** The string to sign of V1; `Signature` is left out. */
export function v1StringToSign(method, pairs) {
  const canonical = form(sorted(pairs.filter(([name]) => name !== 'Signature')));
  return { canonical, stringToSign: `${method}&${encode('/')}&${encode(canonical)}` };
}

/** Base64; the key is the secret and an ampersand. */
export async function v1Signature(secret, stringToSign, subtle = subtleOf()) {
  return base64(await hmac1(`${secret}&`, stringToSign, subtle));
}

/** The canonical request of V3. `headers` are pairs with lower-case names. */
export function v3CanonicalRequest(method, query, headers, hash) {
  const values = new Map();
  for (const [name, value] of headers) {
    values.set(name, [...(values.get(name) ?? []), value.trim()]);
  }
  const names = [...values.keys()].sort(compareBytes);
  const lines = names.map((name) => `${name}:${values.get(name).sort(compareBytes).join(',')}\n`);
  const signedHeaders = names.join(';');
  const canonical = [method, '/', form(sorted(query)), lines.join(''), signedHeaders, hash].join('\n');
  return { canonical, signedHeaders };
}

/** What V3 signs. */
export async function v3StringToSign(canonical, subtle = subtleOf()) {
  return `${ALGORITHM}\n${hex(await digest256(canonical, subtle))}`;
}

/** Hexadecimal; the key is the bare secret. */
export async function v3Signature(secret, stringToSign, subtle = subtleOf()) {
  return hex(await hmac256(secret, stringToSign, subtle));
}

/**
 * A signed request.
 *
 * `call`: scheme ('V1' or 'V3'), method, format, action, version, params (pairs of decoded text),
 * host, keyId, secret, token, time (UTC text), nonce.
 *
 * Answers method, path, headers (pairs, without `host`, which the browser writes), body (text or
 * null), and the steps: canonicalRequest, stringToSign, signature.
 */
export function sign(call, subtle = subtleOf()) {
  return call.scheme === 'V1' ? signV1(call, subtle) : signV3(call, subtle);
}

async function signV1(call, subtle) {
  const pairs = [
    ...call.params,
    ['Action', call.action],
    ['Version', call.version],
    ['Format', call.format],
    ['AccessKeyId', call.keyId],
    ['SignatureMethod', 'HMAC-SHA1'],
    ['SignatureVersion', '1.0'],
    ['SignatureNonce', call.nonce],
    ['Timestamp', call.time],
  ];
  if (call.token) pairs.push(['SecurityToken', call.token]);
  const { canonical, stringToSign } = v1StringToSign(call.method, pairs);
  const signature = await v1Signature(call.secret, stringToSign, subtle);
  const text = form([...pairs, ['Signature', signature]]);
  const inBody = call.method === 'POST';
  return {
    scheme: 'V1',
    method: call.method,
    host: call.host,
    path: inBody ? '/' : `/?${text}`,
    headers: inBody ? [['content-type', FORM]] : [],
    body: inBody ? text : null,
    canonicalRequest: canonical,
    stringToSign,
    signature,
  };
}

async function signV3(call, subtle) {
  // JSON is the reply of a V3 request; only another format needs a parameter.
  const params = call.format === 'JSON' ? call.params : [...call.params, ['Format', call.format]];
  const inBody = call.method === 'POST' && params.length > 0;
  const body = inBody ? form(params) : '';
  const query = inBody ? [] : params;
  const hash = hex(await digest256(body, subtle));
  const headers = [
    ['host', call.host],
    ['x-acs-action', call.action],
    ['x-acs-version', call.version],
    ['x-acs-date', call.time],
    ['x-acs-signature-nonce', call.nonce],
    ['x-acs-content-sha256', hash],
  ];
  if (inBody) headers.push(['content-type', FORM]);
  if (call.token) {
    headers.push(['x-acs-accesskey-id', call.keyId], ['x-acs-security-token', call.token]);
  }
  const { canonical, signedHeaders } = v3CanonicalRequest(call.method, query, headers, hash);
  const stringToSign = await v3StringToSign(canonical, subtle);
  const signature = await v3Signature(call.secret, stringToSign, subtle);
  const authorization =
    `${ALGORITHM} Credential=${call.keyId},SignedHeaders=${signedHeaders},Signature=${signature}`;
  const sent = headers.filter(([name]) => name !== 'host');
  return {
    scheme: 'V3',
    method: call.method,
    host: call.host,
    path: query.length > 0 ? `/?${form(query)}` : '/',
    headers: [...sent, ['authorization', authorization]],
    body: inBody ? body : null,
    canonicalRequest: canonical,
    stringToSign,
    signature,
  };
}

/** The request as text, as it goes over the wire. */
export function requestText(request) {
  const lines = [`${request.method} ${request.path} HTTP/1.1`, `host: ${request.host}`];
  for (const [name, value] of request.headers) lines.push(`${name}: ${value}`);
  return `${lines.join('\n')}\n\n${request.body ?? ''}`;
}

/** UTC without fractions, as the API writes it. */
export function utc(date) {
  return `${date.toISOString().slice(0, 19)}Z`;
}

/** 32 random hexadecimal digits; `getRandomValues` works without a secure context, too. */
export function freshNonce() {
  return hex(crypto.getRandomValues(new Uint8Array(16)));
}
