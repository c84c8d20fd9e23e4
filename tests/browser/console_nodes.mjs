// The nodes of a database in the console, in a real browser: told live, on a desk and on a phone,
// without scripts.
//
// Environment: that of lib.mjs and of server.mjs; FARM, as JSON the settings that the nodes of one
// PostgreSQL database share.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { atConsole } from './console_steps.mjs';
import { WITH_KEY } from './explorer.mjs';
import { PHONE, arrange, closeBrowser, pictures, staysPut, withPage } from './lib.mjs';
import { serve, stopAll } from './server.mjs';

const SETTINGS = { ...WITH_KEY, ...JSON.parse(process.env.FARM), HAULAGE_LEASE: '3s' };

let first;
before(async () => { first = await serve(SETTINGS); });
after(async () => {
  await closeBrowser();
  await stopAll();
});

/** The row of a node. */
const row = (page, node) => page.locator('#nodes tr', { hasText: new URL(node.origin).host });

test('a node is told to be alone, then the others come and go on the page by themselves', async () => {
  let cookies;
  await atConsole({ origin: first.origin, path: '/console' }, async (page, context) => {
    await page.getByText('This node works alone').waitFor();
    await page.evaluate(() => { globalThis.sameDocument = true; });
    const second = await serve(SETTINGS);
    await row(page, second).getByText('Ready').waitFor();
    await row(page, first).getByText('this one').waitFor();
    second.stop();
    await row(page, second).getByText('Silent').waitFor();
    assert.equal(await page.evaluate(() => globalThis.sameDocument), true, 'it was not loaded anew');
    await staysPut(page);
    await pictures(page, 'console-nodes');
    cookies = await context.cookies();
  });
  const plain = { origin: first.origin, path: '/console/sign-in', scripts: false, theme: 'dark', width: PHONE };
  await withPage(plain, async (page, context) => {
    await context.addCookies(cookies);
    await page.goto('/console');
    await row(page, first).getByText('Ready').waitFor();
    await arrange(page, 'dark', PHONE);
  });
});
