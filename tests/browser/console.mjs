// The console in a real browser: signing in, watching a page change, cancelling, what an ended
// session does to a form; axe and pictures of its main pages.
//
// Environment: that of lib.mjs and of server.mjs.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';
import { atConsole, signIn, submit } from './console_steps.mjs';
import { KEY, WITH_KEY } from './explorer.mjs';
import { PHONE, answered, arrange, axe, closeBrowser, pictures, skip, staysPut, withPage } from './lib.mjs';
import { serve, stopAll } from './server.mjs';

const SAMPLE = readFileSync(new URL('../../server/tests/media/sample.mp4', import.meta.url));

/** An origin: `/film….mp4` is a film, everything else is not there. */
const media = createServer((request, response) => {
  const found = request.url.startsWith('/film');
  response.writeHead(found ? 200 : 404, { 'content-type': 'video/mp4' });
  response.end(found ? SAMPLE : '');
});

let still; // a server whose jobs stay pending
let films; // the address of the origin
before(async () => {
  await new Promise((ready) => { media.listen(0, '127.0.0.1', ready); });
  films = `http://127.0.0.1:${media.address().port}`;
  still = await serve(WITH_KEY);
});
after(async () => {
  media.closeAllConnections();
  media.close();
  await closeBrowser();
  await stopAll();
});

test('the secret signs in the page and is not sent', async () => {
  const sent = [];
  await withPage({ origin: still.origin, path: '/console', expected: [answered(401)] }, async (page, context) => {
    context.on('request', (request) => sent.push(`${request.url()} ${request.postData() ?? ''} ${JSON.stringify(request.headers())}`));
    await signIn(page);
    await page.getByRole('heading', { level: 1 }).waitFor();
    await page.getByRole('button', { name: 'Sign out' }).waitFor();
    const cookie = (await context.cookies()).find(({ name }) => name === 'haulage-session');
    assert.deepEqual([cookie.httpOnly, cookie.sameSite], [true, 'Strict']);
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.waitForURL(/sign-in/);
  });
  assert.ok(sent.length > 2, 'requests were seen');
  assert.ok(sent.every((text) => !text.includes(KEY.secret)), 'no request holds the secret');
});

test('a wrong secret is told in the page, and what was typed stays', async () => {
  const expected = [answered(401), answered(400)];
  await withPage({ origin: still.origin, path: '/console', expected }, async (page) => {
    await signIn(page, { ...KEY, secret: 'wrong-secret' });
    const problem = page.locator('#sign-problem');
    await problem.filter({ hasText: /\S/ }).waitFor();
    assert.equal(await page.getByLabel('AccessKey ID').inputValue(), KEY.id);
    await axe(page);
  });
});

test('a job that is cancelled elsewhere changes on the page without a reload', async () => {
  await atConsole({ origin: still.origin, path: '/console' }, async (page, context) => {
    const job = await submit(page, ['http://media.example/live.mp4']);
    await page.goto(job);
    await page.evaluate(() => { globalThis.sameDocument = true; });
    await page.locator('#state').getByText('Pending').first().waitFor();
    const other = await context.newPage();
    await other.goto(job);
    await other.getByRole('button', { name: /Cancel/ }).click();
    await page.locator('#state').getByText('Cancelled').first().waitFor();
    assert.equal(await page.evaluate(() => globalThis.sameDocument), true, 'it was not loaded anew');
  });
});

test('a bulk cancel says what it will do, does that, and a ticked box outlives the live list', async () => {
  await atConsole({ origin: still.origin, path: '/console' }, async (page, context) => {
    await submit(page, ['http://media.example/one.mp4', 'http://media.example/two.mp4']);
    await page.goto('/console/jobs?status=pending');
    await page.getByRole('checkbox', { name: 'Choose one.mp4' }).check();
    // A job more makes the list change under the ticked box.
    await submit(await context.newPage(), ['http://media.example/three.mp4']);
    await page.getByRole('checkbox', { name: 'Choose three.mp4' }).waitFor();
    assert.ok(await page.getByRole('checkbox', { name: 'Choose one.mp4' }).isChecked(), 'still ticked');
    await page.getByRole('button', { name: 'Cancel the chosen…' }).click();
    await page.getByRole('heading', { name: 'Cancel 1 of 1?' }).waitFor();
    await axe(page);
    await page.getByRole('button', { name: 'Cancel 1 job' }).click();
    await page.getByRole('heading', { name: '1 of 1 cancelled' }).waitFor();
    await page.goto('/console/jobs?status=pending');
    await page.getByRole('checkbox', { name: 'Choose two.mp4' }).waitFor();
    assert.equal(await page.getByRole('checkbox', { name: 'Choose one.mp4' }).count(), 0);
  });
});

test('a session that ends while somebody types loses nothing of it', async () => {
  const short = await serve({ ...WITH_KEY, HAULAGE_CONSOLE_SESSION: '3s' });
  await atConsole({ origin: short.origin, path: '/console/submit' }, async (page) => {
    await page.getByLabel('URLs, one a line').fill('http://media.example/kept.mp4');
    await page.getByLabel('Title').fill('kept <b>title</b>');
    while ((await page.request.get('/console')).status() !== 401) { /* until the session is over */ }
    await page.getByRole('button', { name: 'Submit', exact: true }).click();
    await page.getByText('You are not signed in any more.').waitFor();
    await signIn(page);
    await page.getByText('kept <b>title</b>').waitFor();
    await page.getByRole('button', { name: 'Send it now' }).click();
    await page.waitForURL(/\/console\/jobs\//);
    await page.getByText('kept <b>title</b>').first().waitFor();
  });
  await short.stop();
});

test('a film plays, and a failure tells its cause', async () => {
  const busy = await serve({ ...WITH_KEY, HAULAGE_TRANSFERS: '4' });
  await atConsole({ origin: busy.origin, path: '/console' }, async (page) => {
    const job = await submit(page, [`${films}/film.mp4`]);
    await page.goto(job);
    // Its page learns of the end by itself; the player comes with the next visit, since one that
    // plays must not be made anew.
    await page.getByRole('link', { name: 'The media' }).waitFor();
    await page.reload();
    await page.locator('video').waitFor();
    await page.waitForFunction(() => document.querySelector('video').readyState >= 1);
    await pictures(page, 'console-job');
    await page.goto(await submit(page, [`${films}/missing.mp4`]));
    await page.getByText('URLInvalidError.HttpStatus').first().waitFor();
    await axe(page);
    await page.goto('/console');
    await pictures(page, 'console');
    await page.goto('/console/media');
    await pictures(page, 'console-media');
  });
  await busy.stop();
});

test('axe finds nothing serious on any other page, in both themes, on a desk and on a phone; nothing moves', async () => {
  await atConsole({ origin: still.origin, path: '/console' }, async (page) => {
    await submit(page, ['http://media.example/a.mp4']);
    for (const [path, name] of [
      ['/console', 'console-queue'], ['/console/jobs', 'console-jobs'], ['/console/submit', 'console-submit'],
      ['/console/keys', 'console-keys'], ['/console/accounts', 'console-accounts'],
      ['/console/configuration', 'console-configuration'], ['/console/requests', 'console-requests'],
      ['/errors', 'errors'], ['/errors/jobs', 'errors-jobs'],
    ]) {
      await page.goto(path);
      if (await page.locator('#live-note').count() > 0) await page.locator('#live-note').getByText('Live').waitFor();
      await staysPut(page);
      await pictures(page, name);
    }
  });
  await withPage({ origin: still.origin, path: '/console', expected: [answered(401)] }, async (page) => {
    await staysPut(page);
    await pictures(page, 'console-sign-in');
  });
});

test('without scripts the pages are read, on a phone too', async () => {
  let cookies;
  await atConsole({ origin: still.origin, path: '/console' }, async (page, context) => {
    await submit(page, ['http://media.example/read.mp4']);
    cookies = await context.cookies();
  });
  const plain = { origin: still.origin, path: '/console/sign-in', scripts: false, theme: 'dark', width: PHONE };
  await withPage(plain, async (page, context) => {
    await context.addCookies(cookies);
    for (const [path, text] of [
      ['/console', 'Pending'], ['/console/jobs', 'read.mp4'], ['/console/keys', KEY.id],
      ['/console/configuration', 'data_dir'],
    ]) {
      await page.goto(path);
      await page.getByText(text).first().waitFor();
      await arrange(page, 'dark', PHONE);
    }
    // Filters are forms that the browser sends by itself.
    await page.goto('/console/jobs');
    await page.getByLabel("URL, a part of it, or a job's id").fill('no such thing');
    await page.getByRole('button', { name: 'Filter', exact: true }).click();
    await page.getByText('No job matches').waitFor();
  });
});

test('everything is done with the keyboard alone', async () => {
  await withPage({ origin: still.origin, path: '/console/submit', expected: [answered(401)] }, async (page) => {
    /** Goes on with Tab until something with this name has the focus. */
    const reach = async (name) => {
      for (let presses = 0; presses < 60; presses += 1) {
        await page.keyboard.press('Tab');
        const found = await page.evaluate(() => {
          const at = document.activeElement;
          const label = at.labels?.[0]?.textContent ?? at.getAttribute('aria-label') ?? at.textContent;
          return { label: label.trim(), outline: getComputedStyle(at).outlineStyle };
        });
        if (!found.label.startsWith(name)) continue;
        assert.notEqual(found.outline, 'none', `${name} shows that it has the focus`);
        return;
      }
      assert.fail(`${name} is reached by Tab`);
    };
    await reach('AccessKey ID');
    await page.keyboard.type(KEY.id);
    await reach('AccessKey secret');
    await page.keyboard.type(KEY.secret);
    await page.keyboard.press('Enter');
    await page.getByLabel('URLs, one a line').waitFor();
    await page.waitForLoadState();
    await reach('Skip to the content');
    await skip(page);
    await reach('URLs, one a line');
    await page.keyboard.type('http://media.example/keys.mp4');
    await reach('Submit');
    await page.keyboard.press('Enter');
    await page.waitForURL(/\/console\/jobs\//);
    await reach('Cancel this job');
    await page.keyboard.press('Enter');
    await page.locator('#state').getByText('Cancelled').first().waitFor();
  });
});
