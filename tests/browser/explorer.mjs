// The verbs of the explorer's tests: what a person does on the page of an operation.

import assert from 'node:assert/strict';

export const KEY = { id: 'testkeyid', secret: 'testsecret' };
/** Settings of a server that has this key. */
export const WITH_KEY = { HAULAGE_ACCESS_KEY_ID: KEY.id, HAULAGE_ACCESS_KEY_SECRET: KEY.secret };

/** Addresses of all operations' pages, as the first page lists them. */
export async function operations(page) {
  const found = [];
  for (const link of await page.locator('.cards a').all()) found.push(await link.getAttribute('href'));
  assert.ok(found.length >= 5);
  return found;
}

export async function typeKey(page, key = KEY) {
  await page.getByLabel('AccessKey ID').fill(key.id);
  await page.getByLabel('AccessKey Secret').fill(key.secret);
}

export async function choose(page, { scheme = 'V3', method = 'POST', format = 'JSON' }) {
  for (const [name, value] of Object.entries({ Signature: scheme, Method: method, Reply: format })) {
    await page.getByRole('combobox', { name, exact: true }).selectOption(value);
  }
}

/** The eight ways to sign and ask. */
export const WAYS = ['V3', 'V1'].flatMap((scheme) => ['POST', 'GET'].flatMap(
  (method) => ['JSON', 'XML'].map((format) => ({ scheme, method, format }))));

/** Puts texts into the rows of a list, with a row for each. */
export async function typeRows(page, name, texts) {
  const param = page.locator(`#p-${name}`);
  const rows = param.locator('[data-item]');
  while (await rows.count() > texts.length) {
    await param.getByRole('button', { name: `Remove row ${await rows.count()} of ${name}` }).click();
  }
  while (await rows.count() < texts.length) {
    await param.getByRole('button', { name: 'Add a row' }).click();
  }
  for (const [at, text] of texts.entries()) await rows.nth(at).fill(text);
}

/** The box of a text that can be copied. */
export function box(page, name) {
  return page.getByRole('region', { name, exact: true, includeHidden: true });
}

export async function textOf(page, name) {
  return box(page, name).textContent();
}

/** Presses Send and waits until the call is in the page's list; answers what the page shows. */
export async function send(page) {
  const history = page.locator('#history > li');
  const before = await history.count();
  await page.getByRole('button', { name: 'Send', exact: true }).click();
  await history.nth(before).waitFor();
  return shown(page);
}

/** What the page shows of an answer: { status, body, headers, text }; status 0 without an answer. */
export async function shown(page) {
  const answer = page.locator('#answer-body');
  const text = await answer.innerText();
  const status = Number(/^HTTP (\d+)/.exec(text)?.[1] ?? 0);
  if (status === 0) return { status, text };
  const [body, headers] = [await textOf(page, 'Body as it came'), await textOf(page, 'Headers')];
  return { status, text, body, headers };
}

/** An answer that is a success, with a request id; its body as it came. */
export function succeeded(answer) {
  assert.equal(answer.status, 200, answer.text);
  assert.match(answer.body, /RequestId/);
  return answer.body;
}
