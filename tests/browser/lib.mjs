// What every test in a real browser stands on: one Chromium for a run, a fresh context for each
// test, and watchers that fail the test for whatever a person would see only in the browser's
// console. Knows nothing of any page; the tests of the explorer and of the console share it.
//
// Environment: CHROMIUM (the program; /usr/bin/chromium), SHOTS (directory of the screenshots;
// target/browser).

import assert from 'node:assert/strict';
import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const HERE = path.dirname(fileURLToPath(import.meta.url));
const SHOTS = process.env.SHOTS || path.join(HERE, '../../target/browser');
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** Widths of the screenshots, in CSS pixels. */
export const DESKTOP = 1280;
export const PHONE = 390;
/** A wait or an action longer than this has failed; milliseconds. CI machines are shared. */
const PATIENCE = 60_000;

const ARGUMENTS = [
  // Nothing but the server under test can be reached, whatever a page asks for; haulage.test is that
  // server under an address that browsers do not trust as they trust loopback.
  '--no-proxy-server',
  '--host-resolver-rules=MAP haulage.test 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost',
  '--disable-background-networking',
  '--force-color-profile=srgb',
  '--font-render-hinting=none',
];

let launched;

async function launch() {
  // Chromium refuses to run its sandbox as root, and in CI the tests run as root. The pages are
  // our own.
  const chromiumSandbox = process.getuid() !== 0;
  return chromium.launch({
    executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
    headless: true,
    chromiumSandbox,
    args: ARGUMENTS,
  });
}

/** The browser of this run; started by the first test that needs it. */
export function browser() {
  launched ??= launch();
  return launched;
}

/** Ends the browser; for the `after` of a file of tests. */
export async function closeBrowser() {
  if (launched) await (await launched).close();
  launched = undefined;
}

/**
 * Runs `body` with a page in a context of its own, which has no storage, no cookies, no history.
 *
 * `origin`: of the server under test; a request elsewhere is blocked and fails the test.
 * `path`: opened first. `theme`: 'light' or 'dark'. `width`, `height`: CSS pixels. `scripts`:
 * false turns JavaScript off. `permissions`: of the context, such as 'clipboard-read'.
 * `expected`: patterns of problems that the test provokes. Each must occur: an expectation that is
 * not met fails, too.
 *
 * Fails on a console error or warning, an uncaught exception, a failed request, a violation of the
 * content security policy, a foreign request, a dialog.
 */
export async function withPage(options, body) {
  const {
    origin, path: opened = '/', theme = 'light', width = DESKTOP, height = 900, scripts = true,
    permissions = [], expected = [],
  } = options;
  const context = await (await browser()).newContext({
    baseURL: origin,
    colorScheme: theme,
    javaScriptEnabled: scripts,
    permissions,
    viewport: { width, height },
    // Animations end at once, so that no picture shows half of one.
    reducedMotion: 'reduce',
    serviceWorkers: 'block',
  });
  const problems = [];
  let isOver = false;
  const note = (text) => { if (!isOver) problems.push(text); };
  context.setDefaultTimeout(PATIENCE);
  // What a policy blocks is told to the page; the watcher below reads it from the console.
  await context.addInitScript(() => {
    document.addEventListener('securitypolicyviolation', (event) => {
      console.error(`securitypolicyviolation: ${event.effectiveDirective} blocked ${event.blockedURI}`);
    });
  });
  await context.route((url) => isForeign(url, origin), (route) => route.abort());
  context.on('request', (request) => {
    if (isForeign(new URL(request.url()), origin)) note(`foreign request: ${request.url()}`);
  });
  context.on('requestfailed', (request) => {
    // The browser's own word for what was under way when somebody left the page.
    if (request.failure()?.errorText === 'net::ERR_ABORTED') return;
    note(`request failed: ${request.method()} ${request.url()}: ${request.failure()?.errorText}`);
  });
  context.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) note(`console ${message.type()}: ${message.text()}`);
  });
  context.on('weberror', (error) => note(`uncaught: ${error.error().stack ?? error.error()}`));
  context.on('dialog', (dialog) => {
    note(`dialog: ${dialog.message()}`);
    dialog.dismiss().catch(() => {});
  });
  const page = await context.newPage();
  try {
    await page.goto(opened);
    await body(page, context);
    isOver = true;
    const surprises = problems.filter((text) => !expected.some((pattern) => pattern.test(text)));
    assert.deepEqual(surprises, [], 'the browser complains');
    for (const pattern of expected) {
      assert.ok(problems.some((text) => pattern.test(text)), `${pattern} was provoked: ${problems}`);
    }
  } catch (error) {
    isOver = true;
    console.error(`The browser said: ${problems.join('\n') || 'nothing'}\n${await shownAt(page)}`);
    throw error;
  } finally {
    await context.close();
  }
}

/** What a person would see of a page that failed a test: where it is, what has the focus, its text. */
async function shownAt(page) {
  try {
    const { focus, text } = await page.evaluate(() => ({
      focus: document.activeElement?.outerHTML.slice(0, 200),
      text: (document.querySelector('main') ?? document.body).innerText.slice(0, 2_000),
    }));
    return `The page ${page.url()}, with the focus on ${focus}:\n${text}`;
  } catch (error) {
    return `The page ${page.url()} shows nothing: ${error.message}`;
  }
}

function isForeign(url, origin) {
  return url.protocol.startsWith('http') && url.origin !== new URL(origin).origin;
}

/**
 * Follows the link that skips the navigation; it has the focus. The browser moves the focus with the
 * next frame that it draws: a Tab or a letter before that would be lost.
 */
export async function skip(page) {
  await page.keyboard.press('Enter');
  await page.locator('main:focus').waitFor();
}

/** The console's line for an answer that is an error; every browser writes it. */
export function answered(status) {
  return new RegExp(`Failed to load resource: the server responded with a status of ${status}`);
}

/** Fails on findings of axe that are serious or critical. Answers the number of rules that passed. */
export async function axe(page) {
  await page.evaluate(AXE);
  const { violations, passes } = await page.evaluate(() => globalThis.axe.run(document, {
    resultTypes: ['violations', 'passes'],
  }));
  const bad = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical');
  const told = bad.map(({ id, help, nodes }) => `${id}: ${help}\n${nodes.slice(0, 5)
    .map(({ target, failureSummary }) => `  ${target.join(' ')} ${failureSummary}`).join('\n')}`);
  assert.deepEqual(told, [], `axe at ${page.url()}`);
  assert.ok(passes.length > 5, 'axe looked at the page');
  return passes.length;
}

/** Fails if the page can be scrolled sideways, and names what sticks out. */
export async function fitsItsWidth(page) {
  const found = await page.evaluate(() => {
    const root = document.documentElement;
    if (root.scrollWidth <= root.clientWidth) return [];
    const wide = [...document.body.querySelectorAll('*')]
      .filter((one) => one.getBoundingClientRect().right > root.clientWidth + 1)
      // What is in a box that scrolls by itself may be wide.
      .filter((one) => !one.parentElement.closest('.scroll, pre'))
      .map((one) => `${one.tagName.toLowerCase()}${one.id ? `#${one.id}` : ''}.${one.className}`);
    return [`${root.scrollWidth} > ${root.clientWidth}`, ...wide.slice(0, 8)];
  });
  assert.deepEqual(found, [], `no horizontal scroll at ${page.url()}`);
}

/**
 * Fails if parts of the page have moved since it was opened without anybody having done anything:
 * more than the 0.1 that is called good.
 */
export async function staysPut(page) {
  const moved = await page.evaluate(() => new Promise((done) => {
    const found = [];
    new PerformanceObserver((list) => found.push(...list.getEntries()))
      .observe({ type: 'layout-shift', buffered: true });
    // Entries are delivered after a frame.
    requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(() => done(found
      .filter((shift) => !shift.hadRecentInput)
      .map((shift) => ({
        value: shift.value,
        what: shift.sources.map(({ node }) => `${node?.nodeName}#${node?.id ?? ''}.${node?.className ?? ''}`),
      }))))));
  }));
  const sum = moved.reduce((all, { value }) => all + value, 0);
  assert.ok(sum < 0.1, `${page.url()} moved by ${sum}: ${JSON.stringify(moved)}`);
}

/** Shows the page in a theme and at a width; on a phone it must not scroll sideways. */
export async function arrange(page, theme, width) {
  const { height } = page.viewportSize();
  await page.emulateMedia({ colorScheme: theme });
  await page.setViewportSize({ width, height });
  if (width <= PHONE) await fitsItsWidth(page);
}

/**
 * A picture in a theme and at a width: `{name}-{theme}-{width}.png`; of the window alone, or of the
 * whole page.
 */
export async function screenshot(page, name, { theme = 'light', width = DESKTOP, fullPage = true } = {}) {
  await arrange(page, theme, width);
  mkdirSync(SHOTS, { recursive: true });
  const file = path.join(SHOTS, `${name}-${theme}-${width}.png`);
  await page.screenshot({ path: file, fullPage, animations: 'disabled', caret: 'hide' });
  return file;
}

/** Both themes, on a desk and on a phone, each looked at by axe, too. */
export async function pictures(page, name) {
  for (const theme of ['light', 'dark']) {
    for (const width of [DESKTOP, PHONE]) {
      await screenshot(page, name, { theme, width });
      await axe(page);
    }
  }
}
