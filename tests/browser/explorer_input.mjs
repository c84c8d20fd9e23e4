// The explorer in a real browser: whatever is typed, answered, or not answered at all, nothing of it
// is executed, the page stays usable, and nothing typed is lost.
//
// Environment: that of lib.mjs and of server.mjs.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import {
  WITH_KEY, box, choose, send, shown, succeeded, textOf, typeKey, typeRows,
} from './explorer.mjs';
import { DESKTOP, PHONE, answered, closeBrowser, fitsItsWidth, withPage } from './lib.mjs';
import { ownAddress, serve, stopAll } from './server.mjs';

let origin;
before(async () => { ({ origin } = await serve(WITH_KEY)); });
after(async () => { await closeBrowser(); await stopAll(); });

const MARKUP = '"><img src=x onerror="globalThis.harmed=1"><script>globalThis.harmed=1</script>';
const CONTROLS = 'a\u0001b\u0007c\u001bd\u007fe\u0085f';
const RIGHT_TO_LEFT = '\u202eevil\u202c \u0645\u0631\u062d\u0628\u0627 \u05e9\u05dc\u05d5\u05dd \u2066x';

/** Fails if anything typed became more than text, or pushed the page out of its frame. */
async function nothingHappened(page) {
  // The sign beside the name is the page's only picture.
  const found = await page.evaluate(() => ({
    harmed: globalThis.harmed ?? 0,
    foreign: document.querySelectorAll(
      'img:not(.brand > img), iframe, object, embed, base, body script, body style',
    ).length,
  }));
  assert.deepEqual(found, { harmed: 0, foreign: 0 });
  await page.setViewportSize({ width: PHONE, height: 800 });
  await fitsItsWidth(page);
  await page.setViewportSize({ width: DESKTOP, height: 900 });
  await fitsItsWidth(page);
}

for (const [name, text] of Object.entries({ MARKUP, CONTROLS, RIGHT_TO_LEFT })) {
  test(`${name} in every field is text, in the page, in the samples and in the answer`, async () => {
    await withPage({ origin, path: '/explorer/UploadMediaByURL', expected: [answered(400)] }, async (page) => {
      await typeKey(page);
      await typeRows(page, 'UploadURLs', [`http://h.example/${text}`]);
      await page.getByRole('button', { name: 'Add metadata for a URL' }).click();
      for (const field of await page.locator('#form [data-value]:not([data-made]):visible').all()) {
        if (await field.evaluate((one) => one.localName) !== 'select') await field.fill(text);
      }
      const written = JSON.parse(await page.locator('#c-UploadMetadatas').inputValue());
      assert.equal(written[0].Title, text);
      const answer = await send(page);
      assert.equal(answer.status, 400, answer.text);
      const languages = page.getByRole('radio');
      assert.ok(await languages.count() > 10);
      for (const language of await languages.all()) {
        await language.check();
        await nothingHappened(page);
      }
      // The answer echoes a value; shown with no character that hides or reorders.
      const list = await page.locator('#answer-body pre').first().textContent();
      assert.doesNotMatch(list, /[\u202a-\u202e\u2066-\u2069]/);
      await page.goto('/explorer');
      await page.getByLabel('Search operations').fill(text);
      await page.getByText('0 found').waitFor();
      await page.getByLabel('Error body or code').fill(JSON.stringify({ Code: text }));
      await nothingHappened(page);
    });
  });
}

test('an answer with markup, controls and long words is shown as text', async () => {
  await withPage({ origin, path: '/explorer/ListUrlUploadJobs', expected: [answered(400)] }, async (page) => {
    const body = JSON.stringify({
      RequestId: MARKUP, Code: MARKUP, Message: `${CONTROLS}${RIGHT_TO_LEFT}${'w'.repeat(5000)}`,
    }).replace('{', '{"Number":12345678901234567890,');
    await page.route(`${origin}/`, (route) => route.fulfill({
      status: 400, contentType: 'application/json', headers: { 'x-odd': MARKUP }, body }));
    await typeKey(page);
    const answer = await send(page);
    assert.equal(answer.body, body, 'as it came');
    assert.match(await textOf(page, 'Body'), /"Number": 12345678901234567890,/);
    await nothingHappened(page);
  });
});

/** Sizes and what the server says of them; `why` is the page's own reading of it. */
const LARGE = [
  { method: 'POST', size: 1_000_000, status: 400, why: 'its value is longer than' },
  { method: 'POST', size: 1_200_000, status: 413, why: 'RequestTooLarge' },
  { method: 'GET', size: 1_000_000, status: 431, why: 'too long for a request line: choose POST' },
];
for (const { method, size, status, why } of LARGE) {
  test(`a text of ${size} characters by ${method} is sent, refused and explained, and the page goes on`, async () => {
    const expected = [answered(status)];
    await withPage({ origin, path: '/explorer/UploadMediaByURL', expected }, async (page) => {
      await typeKey(page);
      await choose(page, { method });
      await page.getByRole('button', { name: 'Fill in the required examples' }).click();
      const session = page.getByRole('textbox', { name: /^SessionId/ });
      await session.fill('x'.repeat(size));
      const answer = await send(page);
      assert.equal(answer.status, status, answer.text);
      assert.ok(answer.text.includes(why), answer.text);
      await nothingHappened(page);
      assert.equal((await session.inputValue()).length, size, 'what was typed is there');
      await session.fill('short');
      succeeded(await send(page));
    });
  });
}

test('a server that went away is named, nothing typed is lost, and the call goes out when it is back', async () => {
  const address = await ownAddress();
  const first = await serve({ ...WITH_KEY, HAULAGE_LISTEN: address });
  const expected = [/request failed: POST .*ERR_CONNECTION_REFUSED/, /net::ERR_CONNECTION_REFUSED/];
  await withPage({ origin: first.origin, path: '/explorer/UploadMediaByURL', expected }, async (page) => {
    await typeKey(page);
    await typeRows(page, 'UploadURLs', ['http://h.example/1.mp4', 'http://h.example/2.mp4']);
    await page.getByRole('textbox', { name: /^SessionId/ }).fill('kept');
    await first.stop();
    const answer = await send(page);
    assert.equal(answer.status, 0);
    assert.match(answer.text, /could not be reached.*Is it still running at 127\.0\.0\.1:\d+\?/);
    assert.equal(await page.getByRole('textbox', { name: /^SessionId/ }).inputValue(), 'kept');
    await serve({ ...WITH_KEY, HAULAGE_LISTEN: address });
    const body = succeeded(await send(page));
    assert.equal(JSON.parse(body).UploadJobs.length, 2);
  });
});

test('a throttled call says when to try again', async () => {
  const slow = await serve({ ...WITH_KEY, HAULAGE_QPS: 'ListUrlUploadJobs=1' });
  await withPage({ origin: slow.origin, path: '/explorer/ListUrlUploadJobs', expected: [answered(400)] }, async (page) => {
    await typeKey(page);
    let answer = await send(page);
    // Two calls of one second; a slow machine may need a few tries.
    for (let tries = 0; answer.status === 200 && tries < 50; tries += 1) answer = await send(page);
    assert.match(answer.body, /Throttling\.User/);
    const [, ms] = /x-acs-retry-after: (\d+)/.exec(answer.headers);
    assert.ok(Number(ms) > 0 && Number(ms) <= 1000, ms);
    assert.ok(answer.text.includes(`There is room again in ${ms} ms.`), answer.text);
    assert.match(await page.locator('#answer-body a').getAttribute('href'), /^\/errors\/Throttling\.User$/);
  });
  await slow.stop();
});

test('a time that is past or no time at all is refused with a reason, before or after sending', async () => {
  await withPage({ origin, path: '/explorer/ListUrlUploadJobs', expected: [answered(400)] }, async (page) => {
    await typeKey(page);
    await page.getByText('Security token, time and nonce').click();
    const time = page.getByLabel('Time (empty');
    await time.fill('2020-01-01T00:00:00Z');
    assert.match((await send(page)).body, /InvalidTimeStamp\.Expired/);
    await time.fill('yesterday');
    assert.match((await send(page)).body, /InvalidTimeStamp\.Format/);
    await time.fill('\u0645\u0631\u062d\u0628\u0627');
    await page.getByRole('button', { name: 'Send', exact: true }).click();
    await page.getByText('Not sent: Time has a space or a character that no header can carry.').waitFor();
    await time.fill('');
    await page.getByLabel('Nonce (empty').fill('once');
    succeeded(await send(page));
    assert.match((await send(page)).body, /SignatureNonceUsed/);
  });
});

test('what cannot be sent is said beside the field, and nothing is sent', async () => {
  await withPage({ origin, path: '/explorer/UploadMediaByURL' }, async (page) => {
    await page.getByRole('button', { name: 'Send', exact: true }).click();
    await page.getByText('Not sent: fill in AccessKey ID and AccessKey Secret.').waitFor();
    assert.equal(await page.evaluate(() => document.activeElement.id), 'key-id');
    await typeKey(page);
    await typeRows(page, 'UploadURLs', ['ftp://h.example/a']);
    await page.locator('#p-UploadURLs').getByText('Row 1 does not begin with http:// or https://.').waitFor();
    await page.getByRole('button', { name: 'Send', exact: true }).click();
    await page.getByText('Not sent: look at UploadURLs.').waitFor();
    await typeRows(page, 'UploadURLs', ['http://h.example/a']);
    await page.locator('#c-UserData').fill('{"MessageCallback":');
    await page.locator('#p-UserData').getByText('This is not JSON').waitFor();
    assert.equal(await page.locator('#history > li').count(), 0);
  });
});

test('rows of a list are added, removed, pasted and counted, up to their limit', async () => {
  const permissions = ['clipboard-read', 'clipboard-write'];
  await withPage({ origin, path: '/explorer/CancelUrlUploadJobs', permissions }, async (page) => {
    const param = page.locator('#p-JobIds');
    const rows = param.locator('[data-item]');
    await typeRows(page, 'JobIds', ['a', 'b', 'c']);
    await param.getByRole('button', { name: 'Remove row 2 of JobIds' }).click();
    assert.deepEqual(await rows.evaluateAll((all) => all.map((one) => one.value)), ['a', 'c']);
    await page.waitForFunction(() => document.querySelector('[aria-label="Request"]').textContent.endsWith('\n\nJobIds=a%2Cc'));
    await page.evaluate(() => navigator.clipboard.writeText(Array.from({ length: 14 }, (_, at) => `id${at}`).join('\n')));
    await rows.nth(0).fill('');
    await rows.nth(0).focus();
    await page.keyboard.press('Control+V');
    assert.equal(await rows.count(), 10);
    assert.equal(await param.getByRole('button', { name: 'Add a row' }).isDisabled(), true);
    await param.getByText('10 of at most 10').waitFor();
    await page.getByRole('button', { name: 'Clear', exact: true }).click();
    assert.deepEqual(await rows.evaluateAll((all) => all.map((one) => one.value)), ['']);
    await rows.nth(0).fill('one,two');
    await param.getByText('Row 1 has a comma').waitFor();
  });
});

test('the metadata editor makes the JSON that it shows, and the server takes it', async () => {
  await withPage({ origin, path: '/explorer/UploadMediaByURL' }, async (page) => {
    await typeKey(page);
    const urls = ['http://h.example/a b,c.mp4', 'http://h.example/d.mp4'];
    await typeRows(page, 'UploadURLs', urls);
    const json = page.locator('#c-UploadMetadatas');
    for (const [at, url] of urls.entries()) {
      await page.getByRole('button', { name: 'Add metadata for a URL' }).click();
      const entry = page.getByRole('group', { name: `Metadata ${at + 1}` });
      await entry.getByLabel('SourceURL').fill(url);
      await entry.getByLabel('Title').fill(`"${at}" \\ <b>`);
    }
    const [first, second] = JSON.parse(await json.inputValue());
    assert.deepEqual([first.Title, second.Title], ['"0" \\ <b>', '"1" \\ <b>']);
    await page.getByRole('group', { name: 'Metadata 2' }).getByRole('button', { name: 'Remove this metadata' }).click();
    assert.equal(JSON.parse(await json.inputValue()).length, 1);
    await page.getByRole('group', { name: 'Metadata 1' }).getByLabel('FileSize').fill('12345678901234567');
    assert.match(await json.inputValue(), /"FileSize":"12345678901234567"/);
    await page.locator('[data-part="Extend"] textarea').fill('{"localId":"42"}');
    assert.equal(await page.locator('#c-UserData').inputValue(), '{"Extend":{"localId":"42"}}');
    await json.fill('[{"SourceURL":"http%3A%2F%2Fh.example%2Fd.mp4","Title":"by hand"}]');
    await page.getByText('Edited by hand').waitFor();
    const body = succeeded(await send(page));
    const id = JSON.parse(body).UploadJobs[1].JobId;
    await page.goto('/explorer/GetURLUploadInfos');
    await typeKey(page);
    await typeRows(page, 'JobIds', [id]);
    await page.getByRole('combobox', { name: /^IncludeProgress/ }).selectOption('true');
    const [job] = JSON.parse(succeeded(await send(page))).URLUploadInfoList;
    assert.equal(job.Progress.Title, 'by hand');
    assert.equal(job.UserData, '{"Extend":{"localId":"42"}}');
  });
});

test('earlier calls can be looked at again, each with its request and its answer', async () => {
  await withPage({ origin, path: '/explorer/ListUrlUploadJobs', expected: [answered(400)] }, async (page) => {
    await typeKey(page);
    const fine = await send(page);
    await page.getByLabel('AccessKey Secret').fill('wrong');
    const refused = await send(page);
    const history = page.locator('#history > li');
    assert.deepEqual(await history.allTextContents().then((all) => all.map((text) => /· (\d{3}) ·/.exec(text)[1])), ['400', '200']);
    await history.nth(1).getByRole('button').click();
    assert.deepEqual(await shown(page), fine);
    await history.nth(0).getByRole('button').click();
    assert.deepEqual(await shown(page), refused);
    await page.getByText(/As it was sent at/).waitFor();
  });
});

test('every text that can be copied is copied whole', async () => {
  const permissions = ['clipboard-read', 'clipboard-write'];
  await withPage({ origin, path: '/explorer/UploadMediaByURL', permissions }, async (page) => {
    await typeKey(page);
    await page.getByRole('button', { name: 'Fill in the required examples' }).click();
    await send(page);
    for (const name of ['Body as it came', 'Headers']) await page.locator('summary').getByText(name, { exact: true }).click();
    const copies = page.getByRole('button', { name: /^Copy: / });
    assert.ok(await copies.count() >= 8);
    for (const copy of await copies.all()) {
      const name = (await copy.getAttribute('aria-label')).slice('Copy: '.length);
      await copy.click();
      await page.getByText('Copied.').first().waitFor();
      const text = await page.evaluate(() => navigator.clipboard.readText());
      assert.equal(text, await box(page, name).textContent(), name);
    }
  });
});
