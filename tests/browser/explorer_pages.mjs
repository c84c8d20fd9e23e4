// The explorer's pages in a real browser, as everyone has them: by keyboard, without scripts, on a
// phone, in both themes; with axe looking at each. Writes the pictures.
//
// Environment: that of lib.mjs and of server.mjs.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { signIn } from './console_steps.mjs';
import { KEY, WITH_KEY, operations, send, shown, succeeded, typeKey } from './explorer.mjs';
import {
  DESKTOP, PHONE, answered, arrange, axe, closeBrowser, fitsItsWidth, pictures, screenshot, skip,
  staysPut, withPage,
} from './lib.mjs';
import { serve, stopAll } from './server.mjs';

let origin;
before(async () => { ({ origin } = await serve(WITH_KEY)); });
after(async () => { await closeBrowser(); await stopAll(); });

test('axe finds nothing serious on any page, in both themes, on a desk and on a phone; nothing moves', async () => {
  await withPage({ origin, path: '/explorer' }, async (page) => {
    await staysPut(page);
    await pictures(page, 'explorer');
    for (const path of [...await operations(page), '/errors', '/errors/SignatureDoesNotMatch']) {
      await page.goto(path);
      await staysPut(page);
      for (const [theme, width] of [['light', DESKTOP], ['dark', PHONE]]) {
        await arrange(page, theme, width);
        await axe(page);
      }
    }
  });
});

test('an operation that does not exist is said to be unknown', async () => {
  await withPage({ origin, path: '/explorer/%3Cb%3ENope', expected: [answered(404)] }, async (page) => {
    await page.getByText('No operation has the name <b>Nope.').waitFor();
    await pictures(page, 'explorer-unknown');
  });
});

test('axe finds nothing serious while the page is in use: answers, refusals, comparison, every editor', async () => {
  await withPage({ origin, path: '/explorer/UploadMediaByURL', expected: [answered(400)] }, async (page) => {
    await typeKey(page);
    await page.getByRole('button', { name: 'Fill in the required examples' }).click();
    await page.getByRole('button', { name: 'Add metadata for a URL' }).click();
    await page.getByText('Security token, time and nonce').click();
    await send(page);
    await pictures(page, 'explorer-answer');
    await page.getByLabel('AccessKey Secret').fill('wrong');
    await send(page);
    await page.getByLabel('Your text').fill('ACS3-HMAC-SHA256\n0');
    await page.locator('#compared mark').first().waitFor();
    await page.getByLabel('UploadURLs, row 1').fill('ftp://h.example/');
    await pictures(page, 'explorer-refused');
  });
});

test('with the keyboard alone a call is filled in, sent and read', async () => {
  await withPage({ origin, path: '/explorer/CancelUrlUploadJobs' }, async (page) => {
    const active = () => page.evaluate(() => document.activeElement.id || document.activeElement.getAttribute('aria-label')
      || document.activeElement.textContent);
    const tabTo = async (wanted) => {
      for (let steps = 0; steps < 150; steps += 1) {
        if (await active() === wanted) {
          const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
          assert.notEqual(outline, 'none', `${wanted} shows that it has the focus`);
          return;
        }
        await page.keyboard.press('Tab');
      }
      assert.fail(`${wanted} cannot be reached; the focus is on ${await active()}`);
    };
    await page.keyboard.press('Tab');
    assert.equal(await active(), 'Skip to the content');
    await skip(page);
    await page.keyboard.press('Tab');
    assert.ok(await page.evaluate(() => document.activeElement.closest('main') !== null), 'the link skips the tree');
    await tabTo('key-id');
    await page.keyboard.type(KEY.id);
    await tabTo('key-secret');
    await page.keyboard.type(KEY.secret);
    await tabTo('scheme');
    await page.keyboard.press('ArrowDown');
    await tabTo('c-JobIds-1');
    await page.keyboard.type('341c92e6c18dc435ee31253685f80001');
    await tabTo('Add a row');
    await page.keyboard.press('Enter');
    assert.equal(await active(), 'c-JobIds-2');
    await page.keyboard.type('second');
    await page.keyboard.press('Enter');
    await page.locator('#history > li').first().waitFor();
    const answer = await shown(page);
    assert.deepEqual(JSON.parse(succeeded(answer)).NonExists, ['341c92e6c18dc435ee31253685f80001', 'second']);
    await tabTo('Copy: Body');
    await page.keyboard.press('Tab');
    assert.equal(await active(), 'Body', 'an answer that is long can be scrolled');
    await page.getByText(/V1 POST · 200/).waitFor();
  });
});

test('without scripts a page says what an operation does, takes, answers and refuses', async () => {
  await withPage({ origin, path: '/explorer', scripts: false }, async (page) => {
    for (const path of await operations(page)) {
      await page.goto(path);
      await page.locator('noscript p', { hasText: 'This page can be read as it is.' }).waitFor();
      for (const text of ['Access level', 'Parameters', 'Reply', 'Errors']) {
        await page.getByText(text, { exact: true }).first().waitFor();
      }
      for (const hint of await page.locator('.param > .hint, .param > fieldset > .hint').all()) {
        assert.ok((await hint.innerText()).length > 5);
      }
      assert.ok(await page.getByRole('button').count() === 0, 'nothing is offered that would not act');
    }
    await page.goto('/explorer/UploadMediaByURL');
    await screenshot(page, 'explorer-without-scripts');
    await screenshot(page, 'explorer-without-scripts', { theme: 'dark', width: 390 });
  });
});

test('the search finds operations by their name and by their parameters', async () => {
  await withPage({ origin, path: '/explorer' }, async (page) => {
    const tree = page.getByRole('navigation', { name: 'Operations' });
    const search = page.getByLabel('Search operations');
    await search.fill('cancel jobids');
    await tree.getByText('1 found').waitFor();
    assert.deepEqual(await tree.getByRole('link').allTextContents(), ['CancelUrlUploadJobs']);
    await search.fill('');
    assert.ok(await tree.getByRole('link').count() >= 5);
  });
});

test('a pasted error leads to its cause and fix', async () => {
  await withPage({ origin, path: '/explorer' }, async (page) => {
    await page.getByLabel('Error body or code').fill('{"RequestId":"x","Code":"Throttling.User","Message":"m"}');
    await page.locator('#found').getByRole('link', { name: 'Throttling.User' }).click();
    await page.getByRole('heading', { name: 'What to do' }).waitFor();
    await fitsItsWidth(page);
    await axe(page);
  });
});

test("a RequestId leads to the server's own record, after a sign-in", async () => {
  await withPage({ origin, path: '/explorer/ListUrlUploadJobs', expected: [answered(400), answered(401)] }, async (page) => {
    await typeKey(page, { ...KEY, secret: 'wrong' });
    const { RequestId } = JSON.parse((await send(page)).body);
    await page.goto('/explorer');
    await page.getByLabel('or a RequestId').fill(RequestId);
    await page.locator('#found').getByRole('link', { name: 'record of this request' }).click();
    await signIn(page);
    await page.getByRole('heading', { name: 'ListUrlUploadJobs' }).waitFor();
    await page.getByRole('link', { name: 'SignatureDoesNotMatch' }).waitFor();
    await pictures(page, 'console-request');
  });
});
