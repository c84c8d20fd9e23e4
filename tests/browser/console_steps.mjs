// The verbs of the console's tests: what a person does there.

import { KEY, typeKey } from './explorer.mjs';
import { answered, withPage } from './lib.mjs';

/** Signs in with the key typed into the page; strangers are answered 401. */
export async function signIn(page, key = KEY) {
  // It is the page's script that signs.
  await page.waitForLoadState();
  await typeKey(page, key);
  await page.getByRole('button', { name: 'Sign in', exact: true }).click();
}

/** Runs `body` at a page of the console, signed in. Options are those of `withPage`. */
export async function atConsole({ expected = [], ...options }, body) {
  await withPage({ ...options, expected: [answered(401), ...expected] }, async (page, context) => {
    await signIn(page);
    await page.getByRole('button', { name: 'Sign out' }).waitFor();
    // With all that belongs to it: a test may end the server at once.
    await page.waitForLoadState();
    await body(page, context);
  });
}

/** Submits URLs by the form; answers the path of where that leads: the job, if it is one. */
export async function submit(page, urls, { title = '', data = '' } = {}) {
  await page.goto('/console/submit');
  await page.getByLabel('URLs, one a line').fill(urls.join('\n'));
  await page.getByLabel('Title').fill(title);
  await page.getByLabel('User data').fill(data);
  await page.getByRole('button', { name: 'Submit', exact: true }).click();
  await page.waitForURL(/\/console\/jobs/);
  return new URL(page.url()).pathname;
}
