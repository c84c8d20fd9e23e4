// The explorer in a real browser: what it signs, the real server accepts, and what it shows of
// signing is what the server computes.
//
// Environment: that of lib.mjs and of server.mjs.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { TITLE, urls } from '../explorer/awkward.mjs';
import { VECTORS, computed, expected, recorded } from '../explorer/vectors.mjs';
import {
  KEY, WAYS, WITH_KEY, choose, operations, send, succeeded, textOf, typeKey, typeRows,
} from './explorer.mjs';
import { answered, closeBrowser, withPage } from './lib.mjs';
import { serve, stopAll } from './server.mjs';

let origin;
before(async () => { ({ origin } = await serve(WITH_KEY)); });
after(async () => { await closeBrowser(); await stopAll(); });

test('from a fresh start to a signed call in five steps, with the address and the credentials as printed', async () => {
  const fresh = await serve();
  const [, id] = /AccessKeyId +(\S+)/.exec(fresh.log());
  const [, secret] = /AccessKeySecret +(\S+)/.exec(fresh.log());
  const [, address] = /API explorer +(\S+)/.exec(fresh.log());
  await withPage({ origin: fresh.origin, path: address }, async (page) => {
    await page.getByRole('main').getByRole('link', { name: 'UploadMediaByURL' }).click();
    await page.getByLabel('AccessKey ID').fill(id);
    await page.getByLabel('AccessKey Secret').fill(secret);
    await page.getByRole('button', { name: 'Fill in the required examples' }).click();
    const body = succeeded(await send(page));
    assert.equal(JSON.parse(body).UploadJobs.length, 2);
  });
  await fresh.stop();
});

for (const way of WAYS) {
  const name = Object.values(way).join(' ');
  test(`a call signed and asked as ${name} is answered with 200, and means what was typed`, async () => {
    await withPage({ origin, path: '/explorer/UploadMediaByURL' }, async (page) => {
      const rows = urls(name.replaceAll(' ', '-'));
      await typeKey(page);
      await choose(page, way);
      await typeRows(page, 'UploadURLs', rows);
      await page.getByRole('button', { name: 'Add metadata for a URL' }).click();
      await page.getByLabel('SourceURL').fill(rows[0]);
      await page.getByLabel('Title').fill(TITLE);
      const answer = await send(page);
      const body = succeeded(answer);
      assert.match(answer.headers, way.format === 'JSON' ? /content-type: application\/json/ : /content-type: \S*xml/);
      // The answer names the URLs as the server understood them.
      const jobs = way.format === 'JSON'
        ? JSON.parse(body).UploadJobs.map((job) => job.SourceURL)
        : await page.evaluate((xml) => Array.from(
          new DOMParser().parseFromString(xml, 'text/xml').querySelectorAll('SourceURL'), (e) => e.textContent), body);
      assert.deepEqual(jobs, rows);

      await page.goto('/explorer/GetURLUploadInfos');
      await typeKey(page);
      await choose(page, { ...way, format: 'JSON' });
      await typeRows(page, 'UploadURLs', [rows[0]]);
      await page.getByRole('combobox', { name: /^IncludeProgress/ }).selectOption('true');
      const [job] = JSON.parse(succeeded(await send(page))).URLUploadInfoList;
      assert.equal(job.UploadURL, rows[0]);
      assert.equal(job.Progress.Title, TITLE);
    });
  });
}

test('the pages own modules sign every vector and every recorded request, in the browser', async () => {
  const vectors = [...VECTORS, ...recorded()];
  await withPage({ origin, path: '/explorer/GetPlayInfo' }, async (page) => {
    const base = await page.evaluate(() => new URL('.', document.querySelector('script[src$="page.js"]').src).href);
    for (const isOwn of [false, true]) {
      assert.deepEqual(await page.evaluate(computed, { base, vectors, isOwn }), vectors.map(expected));
    }
  });
});

test('a vector typed into the form is shown with its string to sign and signature', async () => {
  const vector = VECTORS.at(-1);
  const header = (name) => vector.headers.find(([other]) => other === name)[1];
  // The vector is of another host; what is asked of it, the server under test answers.
  const host = `http://${header('host')}`;
  await withPage({ origin: host, path: 'about:blank' }, async (page) => {
    await page.route(`${host}/**`, async (route) => {
      const { pathname } = new URL(route.request().url());
      await route.fulfill({ response: await route.fetch({ url: origin + pathname }) });
    });
    await page.goto('/explorer/CancelUrlUploadJobs');
    await typeKey(page, { id: 'testid', secret: vector.secret });
    await page.getByText('Security token, time and nonce').click();
    await page.getByLabel('Time (empty').fill(header('x-acs-date'));
    await page.getByLabel('Nonce (empty').fill(header('x-acs-signature-nonce'));
    await typeRows(page, 'JobIds', ['j1', 'j2']);
    await page.waitForFunction((signature) => document.querySelector('[aria-label="Signature"]').textContent === signature,
      vector.signature);
    assert.equal(await textOf(page, 'String to sign'), vector.stringToSign);
    assert.match(await textOf(page, 'Request'), /\n\nJobIds=j1%2Cj2$/);
  });
});

test("with a wrong secret the server's string to sign is the page's, for every operation and way", async () => {
  await withPage({ origin, path: '/explorer', expected: [answered(400)] }, async (page) => {
    for (const operation of await operations(page)) {
      await page.goto(operation);
      await typeKey(page, { ...KEY, secret: 'wrong' });
      for (const example of await page.getByRole('button', { name: /^Use it/ }).all()) await example.click();
      for (const way of WAYS) {
        await choose(page, way);
        await isRefusedForTheSecretAlone(page, way);
      }
    }
  });
});

async function isRefusedForTheSecretAlone(page, way) {
  const answer = await send(page);
  assert.equal(answer.status, 400, answer.text);
  assert.match(answer.text, /SignatureDoesNotMatch/);
  assert.match(answer.text, /The texts are equal\. If the signatures differ, the AccessKey Secret does/);
  const message = way.format === 'JSON'
    ? JSON.parse(answer.body).Message
    : await page.evaluate((xml) => new DOMParser().parseFromString(xml, 'text/xml')
      .querySelector('Message').textContent, answer.body);
  const ours = await textOf(page, 'String to sign');
  assert.ok(message.includes(ours), `${page.url()}: ${ours} is in ${message}`);
  if (way.scheme === 'V3') assert.ok(message.includes(await textOf(page, 'Canonical request')));
}

test('a pasted text to sign that differs is explained by its first difference', async () => {
  await withPage({ origin, path: '/explorer/CancelUrlUploadJobs' }, async (page) => {
    await typeKey(page);
    await choose(page, { scheme: 'V1' });
    await typeRows(page, 'JobIds', ['an id']);
    const compared = page.locator('#compared');
    const theirs = page.getByLabel('Your text');
    await page.waitForFunction(() => document.querySelector('[aria-label="String to sign"]').textContent.includes('an%2520id'));
    const right = await textOf(page, 'String to sign');
    await theirs.fill(right);
    await compared.getByText('The texts are equal.', { exact: true }).waitFor();
    await theirs.fill(right.replaceAll('%2520', '%2B'));
    await compared.getByText('JobIds: a space is %20, not +.').waitFor();
    assert.equal((await compared.locator('mark').allTextContents()).length, 2);
    await theirs.fill('anything <b>else</b>');
    await compared.getByText('neither a string to sign').waitFor();
  });
});

test('a page that is not in a secure context signs with its own hashes, and is accepted', async () => {
  const named = origin.replace('127.0.0.1', 'haulage.test');
  await withPage({ origin: named, path: '/explorer/ListUrlUploadJobs' }, async (page) => {
    assert.equal(await page.evaluate(() => globalThis.isSecureContext || Boolean(globalThis.crypto.subtle)), false);
    await typeKey(page);
    for (const scheme of ['V1', 'V3']) {
      await choose(page, { scheme });
      succeeded(await send(page));
    }
  });
});

test('the secret is in no request, no address and no storage that outlives the choice', async () => {
  const secret = 'a-secret-that-is-easy-to-find';
  await withPage({ origin, path: '/explorer/ListUrlUploadJobs', expected: [answered(400)] }, async (page) => {
    const sent = [];
    page.on('request', (request) => sent.push(request.url() + JSON.stringify(request.headers()) + request.postData()));
    await typeKey(page, { ...KEY, secret });
    await send(page);
    assert.ok(sent.length > 0 && sent.every((text) => !text.includes(secret)));
    const stored = () => page.evaluate(() => JSON.stringify([{ ...sessionStorage }, { ...localStorage }, document.cookie]));
    assert.ok(!(await stored()).includes(secret));
    await page.getByLabel('Keep both in this tab').check();
    assert.ok((await stored()).includes(secret));
    await page.goto('/explorer/GetPlayInfo');
    assert.equal(await page.getByLabel('AccessKey Secret').inputValue(), secret);
    await page.getByLabel('Keep both in this tab').uncheck();
    assert.ok(!(await stored()).includes(secret));
  });
});
