// The console in a real browser when something is wrong: hostile and huge values, a throttled call,
// a server that is down or unwell. Nothing is executed, nothing breaks, nothing typed is lost.
//
// Environment: that of lib.mjs and of server.mjs.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { atConsole, submit } from './console_steps.mjs';
import { WITH_KEY } from './explorer.mjs';
import { DESKTOP, PHONE, answered, axe, closeBrowser, fitsItsWidth, pictures } from './lib.mjs';
import { ownAddress, serve, stopAll } from './server.mjs';

const MARKUP = '"><img src=x onerror="globalThis.harmed=1"><script>globalThis.harmed=1</script>';
const CONTROLS = 'a\u0001b\u0007c\u001bd\u007fe\u0085f';
const RIGHT_TO_LEFT = '\u202eevil\u202c \u0645\u0631\u062d\u0628\u0627 \u05e9\u05dc\u05d5\u05dd \u2066x';
const LONG_WORD = 'w'.repeat(120);

let still; // a server whose jobs stay pending
before(async () => { still = await serve(WITH_KEY); });
after(async () => { await closeBrowser(); await stopAll(); });

/** Fails if anything typed became more than text, or pushed the page out of its frame. */
async function nothingHappened(page) {
  const found = await page.evaluate(() => ({
    harmed: globalThis.harmed ?? 0,
    foreign: document.querySelectorAll('main img, iframe, object, embed, base, body script, body style').length,
  }));
  assert.deepEqual(found, { harmed: 0, foreign: 0 }, page.url());
  for (const width of [PHONE, DESKTOP]) {
    await page.setViewportSize({ width, height: 900 });
    await fitsItsWidth(page);
  }
}

/** What a page shows of a text: signs that act are named instead. */
const visible = (text) => text.replace(/[\u202a-\u202e\u2060-\u2069]/g,
  (sign) => `⟨U+${sign.codePointAt(0).toString(16).toUpperCase()}⟩`);

for (const [name, text] of Object.entries({ MARKUP, CONTROLS, RIGHT_TO_LEFT, LONG_WORD })) {
  test(`${name} is text on every page that shows it`, async () => {
    // As a filter some of them are refused, and are no RequestId.
    const expected = [answered(400), answered(404)];
    await atConsole({ origin: still.origin, path: '/console/submit', expected }, async (page) => {
      // A title takes no controls.
      const title = name === 'CONTROLS' ? '' : text;
      const job = await submit(page, [`http://media.example/${encodeURIComponent(text)}.mp4`], {
        title, data: JSON.stringify({ Extend: { said: text } }),
      });
      const id = job.split('/').pop();
      assert.ok((await page.locator('h1').textContent()).includes(visible(title)), 'the title is there');
      await nothingHappened(page);
      await page.goto('/console/jobs');
      await nothingHappened(page);
      await page.getByRole('checkbox', { name: /^Choose/ }).first().check();
      await page.getByRole('button', { name: 'Cancel the chosen…' }).click();
      await page.getByRole('heading', { name: /^Cancel 1 of 1/ }).waitFor();
      await nothingHappened(page);
      const query = encodeURIComponent(text);
      for (const path of [
        `/console/jobs?q=${query}&account=${query}&code=${query}&from=${query}`, `/console/media?q=${query}`,
        `/console/requests?id=${query}`, `/console?minutes=${query}&account=`, `/console/jobs/${id}?done=${query}`,
      ]) {
        await page.goto(path);
        await nothingHappened(page);
      }
      await page.goto(`/console/jobs?q=${query}&code=${query}`);
      assert.equal(await page.getByLabel("URL, a part of it, or a job's id").inputValue(), text, 'the filter is there');
    });
  });
}

test('a refused form says why and keeps what was typed; one that is too long is not sent', async () => {
  await atConsole({ origin: still.origin, path: '/console/submit', expected: [answered(422)] }, async (page) => {
    const [urls, title] = [page.getByLabel('URLs, one a line'), page.getByLabel('Title')];
    await urls.fill('http://media.example/a.mp4');
    await title.fill(`${'t'.repeat(999_990)}<b>`);
    await page.getByRole('button', { name: 'Submit', exact: true }).click();
    await page.getByRole('alert').getByText('Nothing was submitted').waitFor();
    assert.equal((await title.inputValue()).length, 999_993, 'what was typed is there');
    await nothingHappened(page);
    await title.fill(CONTROLS);
    await page.getByRole('button', { name: 'Submit', exact: true }).click();
    await page.getByRole('alert').getByText('Title').waitFor();
    assert.equal(await title.inputValue(), CONTROLS, 'what was typed is there');
    // It is the page's script that measures.
    await page.waitForLoadState();
    await title.fill('t'.repeat(1_200_000));
    await page.getByRole('button', { name: 'Submit', exact: true }).click();
    await page.getByText('This is too long').waitFor();
    assert.equal((await title.inputValue()).length, 1_200_000, 'what was typed is there');
    await title.fill('short');
    await page.getByRole('button', { name: 'Submit', exact: true }).click();
    await page.waitForURL(/\/console\/jobs\//);
  });
});

test('a server that is down is named, what was typed stays, and is sent when it is back', async () => {
  const address = await ownAddress();
  const first = await serve({ ...WITH_KEY, HAULAGE_LISTEN: address });
  const expected = [/request failed: GET .*livez.*ERR_CONNECTION_REFUSED/, /net::ERR_CONNECTION_REFUSED/];
  await atConsole({ origin: first.origin, path: '/console/submit', expected }, async (page) => {
    await page.getByLabel('URLs, one a line').fill('http://media.example/kept.mp4');
    await first.stop();
    await page.getByRole('button', { name: 'Submit', exact: true }).click();
    await page.getByText('The server does not answer.').waitFor();
    await axe(page);
    assert.equal(await page.getByLabel('URLs, one a line').inputValue(), 'http://media.example/kept.mp4');
    // Another server at the address: it knows no session, so it asks for the key first.
    await serve({ ...WITH_KEY, HAULAGE_LISTEN: address });
    await page.getByRole('button', { name: 'Submit', exact: true }).click();
    await page.getByText('what you typed is kept').waitFor();
  });
});

test('a page that is watched says when the server is gone, and goes on when it is back', async () => {
  const address = await ownAddress();
  const first = await serve({ ...WITH_KEY, HAULAGE_LISTEN: address });
  const expected = [/ERR_/];
  await atConsole({ origin: first.origin, path: '/console/jobs', expected }, async (page) => {
    await page.locator('#live-note').getByText('Live').waitFor();
    await first.stop();
    await page.locator('#live-note').getByText('Connection lost; trying again.').waitFor();
    await serve({ ...WITH_KEY, HAULAGE_DATA_DIR: first.data, HAULAGE_LISTEN: address });
    await page.locator('#live-note').getByText('Live').waitFor();
  });
});

test('a throttled form says so, and keeps what was typed', async () => {
  const slow = await serve({ ...WITH_KEY, HAULAGE_CALLS_PER_DAY: '1' });
  await atConsole({ origin: slow.origin, path: '/console/submit', expected: [answered(422)] }, async (page) => {
    await submit(page, ['http://media.example/a.mp4']);
    await page.goto('/console/submit');
    await page.getByLabel('URLs, one a line').fill('http://media.example/b.mp4');
    await page.getByRole('button', { name: 'Submit', exact: true }).click();
    await page.getByRole('alert').getByText('Nothing was submitted').waitFor();
    assert.equal(await page.getByLabel('URLs, one a line').inputValue(), 'http://media.example/b.mp4');
  });
  await slow.stop();
});

test('a node that is unwell says what to do', async () => {
  const full = await serve({ ...WITH_KEY, HAULAGE_MIN_FREE: `${1 << 20}GiB`, PATH: '/nonexistent' });
  await atConsole({ origin: full.origin, path: '/console', expected: [answered(422)] }, async (page) => {
    await page.getByText('The disk is full: uploads are refused').waitFor();
    await page.getByText('ffprobe was not found').waitFor();
    await page.getByText('The queue is empty').waitFor();
    await pictures(page, 'console-unwell');
    await page.goto('/console/submit');
    await page.getByLabel('URLs, one a line').fill('http://media.example/a.mp4');
    await page.getByRole('button', { name: 'Submit', exact: true }).click();
    await page.getByRole('alert').getByText('Nothing was submitted').waitFor();
    assert.equal(await page.getByLabel('URLs, one a line').inputValue(), 'http://media.example/a.mp4');
  });
  await full.stop();
});
