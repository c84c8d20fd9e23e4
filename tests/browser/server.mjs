// A real server for a test in the browser: the binary, with a data directory of its own.
//
// Environment: HAULAGE (the binary; target/debug/haulage), SCRATCH (a directory that the caller
// removes; the system's temporary one).

import { spawn } from 'node:child_process';
import { mkdtempSync, openSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const BINARY = process.env.HAULAGE
  || fileURLToPath(new URL('../../target/debug/haulage', import.meta.url));

/** A server that does not say that it is ready has failed; milliseconds. */
const READY_WITHIN = 30_000;

const running = new Set();
process.on('exit', () => { for (const child of running) child.kill('SIGKILL'); });

/** Ends every server that a test left behind; for the `after` of a file of tests. */
export async function stopAll() {
  await Promise.all([...running].map((child) => new Promise((done) => {
    child.once('exit', done);
    child.kill('SIGKILL');
  })));
}

/**
 * An address for a server that will be gone and come back. The system gives ports from 32768 on to
 * whoever asks for any, so one of those may be another's by then; this one is below.
 */
export async function ownAddress() {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 12_000);
    const probe = createServer();
    const isFree = await new Promise((done) => {
      probe.once('error', () => done(false));
      probe.listen(port, '127.0.0.1', () => probe.close(() => done(true)));
    });
    if (isFree) return `127.0.0.1:${port}`;
  }
}

/** Starts `haulage serve`; jobs stay pending. `env`: more settings, as `HAULAGE_…`. */
export async function serve(env = {}) {
  const dir = mkdtempSync(path.join(process.env.SCRATCH || tmpdir(), 'haulage-browser-'));
  const outside = Object.entries(process.env).filter(([name]) => !name.startsWith('HAULAGE_'));
  const data = env.HAULAGE_DATA_DIR ?? path.join(dir, 'data');
  const log = path.join(dir, 'stderr.log');
  const child = spawn(BINARY, ['serve'], {
    cwd: dir,
    env: {
      ...Object.fromEntries(outside),
      HAULAGE_DATA_DIR: data,
      HAULAGE_LISTEN: '127.0.0.1:0',
      HAULAGE_EGRESS_ALLOW: '127.0.0.0/8',
      HAULAGE_MIN_FREE: '0',
      HAULAGE_TRANSFERS: '0',
      ...env,
    },
    stdio: ['ignore', 'pipe', openSync(log, 'a')],
  });
  running.add(child);
  const ended = new Promise((done) => {
    child.once('exit', () => { running.delete(child); done(); });
  });
  let said = '';
  const origin = await new Promise((ready, failed) => {
    const late = setTimeout(() => failed(new Error(`no ready line: ${said}`)), READY_WITHIN);
    child.once('exit', (code) => failed(new Error(`the server ended with ${code}: ${said}${readFileSync(log, 'utf8')}`)));
    child.stdout.on('data', (data) => {
      said += data;
      const line = /haulage ready on (http:\/\/\S+)/.exec(said);
      if (line) { clearTimeout(late); ready(line[1]); }
    });
  });
  return {
    origin,
    /** Its data directory, for a server that goes on with it. */
    data,
    /** All that it wrote, for credentials that it shows once. */
    log: () => said + readFileSync(log, 'utf8'),
    /** Ends it at once; answers when it is gone. */
    stop: () => { child.kill('SIGKILL'); return ended; },
  };
}
