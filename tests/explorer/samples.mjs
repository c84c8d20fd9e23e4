// The sample code: what can run here is run against a running server, what cannot is checked for
// syntax where its language is installed.
//
// Environment: ENDPOINT (jobs stay pending there), PLAY_ENDPOINT and MEDIA_ID (a medium to play),
// ACCESS_KEY_ID, ACCESS_KEY_SECRET, DATA_DIR (of the server at ENDPOINT), CLIENTS (directory of the
// SDKs; may be absent), HAULAGE (the binary), RLIBS (directory with the compiled crates), SCRATCH
// (an empty directory).

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { LANGUAGES } from '../../server/assets/samples/all.js';
import * as haulage from '../../server/assets/samples/haulage.js';
import * as quote from '../../server/assets/samples/quote.js';
import { list, metadatas, urlList, userData } from '../../server/assets/values.js';
import { TEXTS, TITLE, urls } from './awkward.mjs';
import { VERSION, send } from './live.mjs';

const {
  ENDPOINT, PLAY_ENDPOINT, MEDIA_ID, ACCESS_KEY_ID, ACCESS_KEY_SECRET, DATA_DIR, CLIENTS, HAULAGE, RLIBS,
  SCRATCH,
} = process.env;
const PYTHON = path.join(CLIENTS, '.venv/bin/python');
const HAS_PYTHON = existsSync(PYTHON);
const HAS_NODE_SDKS = existsSync(path.join(CLIENTS, 'node_modules/@alicloud/pop-core'));
/** Programs that run at the same time. */
const AT_ONCE = 2;

/** Runs a program; answers { code, out, err }. */
function run(program, args, options = {}) {
  const env = {
    ...process.env,
    ALIBABA_CLOUD_ACCESS_KEY_ID: ACCESS_KEY_ID,
    ALIBABA_CLOUD_ACCESS_KEY_SECRET: ACCESS_KEY_SECRET,
    NODE_PATH: path.join(CLIENTS, 'node_modules'),
    PATH: `${path.dirname(HAULAGE)}:${process.env.PATH}`,
    // For verbs that work on the server's own machine.
    HAULAGE_DATA_DIR: DATA_DIR,
    NO_PROXY: '127.0.0.1',
  };
  for (const proxy of ['http_proxy', 'HTTP_PROXY', 'https_proxy', 'HTTPS_PROXY', 'ALL_PROXY']) delete env[proxy];
  return new Promise((done) => {
    execFile(program, args, { env, cwd: SCRATCH, timeout: 120_000, maxBuffer: 1 << 24, ...options },
      (error, out, err) => done({ code: error ? error.code ?? 1 : 0, out, err }));
  });
}

async function has(program) {
  return (await run('sh', ['-c', `command -v ${program}`])).code === 0;
}

function file(name, text) {
  const at = path.join(SCRATCH, name);
  mkdirSync(path.dirname(at), { recursive: true });
  writeFileSync(at, text);
  return at;
}

/** The newest compiled `wire`, for samples in Rust. */
function wire() {
  const found = readdirSync(RLIBS).filter((name) => /^libwire-.*\.rlib$/.test(name))
    .map((name) => path.join(RLIBS, name));
  return found.sort((a, b) => statSync(b).mtimeMs - statSync(a).mtimeMs)[0];
}

/** How a sample is run, by language; absent where it cannot run here. */
async function runners() {
  const runners = {
    curl: (name, text) => run('bash', [file(`${name}.sh`, text)]),
    haulage: (name, text) => run('bash', ['-e', file(`${name}.sh`, text)]),
  };
  if (HAS_PYTHON) {
    for (const id of ['python', 'python-classic']) {
      runners[id] = (name, text) => run(PYTHON, [file(`${name}.py`, text)]);
    }
  }
  if (HAS_NODE_SDKS) {
    for (const id of ['node', 'node-classic']) {
      runners[id] = (name, text) => run(process.execPath, [file(`${name}.cjs`, text)]);
    }
  }
  if (await has('rustc') && wire()) {
    runners.rust = async (name, text) => {
      const source = file(`${name}.rs`, text);
      const program = path.join(SCRATCH, name);
      const made = await run('rustc', ['--edition', '2024', '-C', 'debuginfo=0', '-L', `dependency=${RLIBS}`,
        '--extern', `wire=${wire()}`, '-o', program, source]);
      assert.equal(made.code, 0, made.err);
      return run(program, []);
    };
  }
  return runners;
}

/** What the server says of its operations: { action: { ours, parameters } }. */
const TABLE = Object.fromEntries(
  Object.values((await (await fetch(`${ENDPOINT}/openapi.json`)).json()).paths).map(({ post }) => [
    post.operationId.replace(/^post/, ''),
    {
      ours: post['x-addition-of-this-server'],
      parameters: post.parameters.filter((p) => p.name),
    }]));

function call(action, params, way, endpoint = ENDPOINT) {
  const { host, hostname, port, protocol } = new URL(endpoint);
  const { ours } = TABLE[action];
  return {
    action, version: VERSION, ours, params, format: 'JSON', protocol: protocol.replace(':', ''),
    host, hostname, port, ...way,
  };
}

function parameter(name, kind, value, ours = false) {
  return { name, kind, value, ours };
}

/** Puts jobs of these URLs into the queue; answers their ids. */
async function submitted(rows) {
  const answer = await send('UploadMediaByURL', [['UploadURLs', urlList(rows)]]);
  assert.equal(answer.status, 200, answer.text);
  return JSON.parse(answer.text).UploadJobs.map((job) => job.JobId);
}

/** The answer of a call that must succeed. */
async function answered(action, params) {
  const answer = await send(action, params);
  assert.equal(answer.status, 200, answer.text);
  return JSON.parse(answer.text);
}

/** Makes an account and a key of it; answers the key's id. */
async function keyOf(account) {
  await answered('CreateAccount', [['AccountName', account]]);
  return (await answered('CreateAccessKey', [['AccountName', account]])).AccessKeyId;
}

/** Status of a key; nothing where there is none. */
async function keyStatus(id) {
  const { AccessKeys } = await answered('ListAccessKeys', [['Account', '*']]);
  return AccessKeys.find((key) => key.AccessKeyId === id)?.Status;
}

/** Each operation: its parameters with awkward values, and what must have happened. */
const OPERATIONS = {
  async UploadMediaByURL(tail) {
    const rows = urls(tail);
    const params = [
      parameter('UploadURLs', 'urls', urlList(rows)),
      parameter('UploadMetadatas', 'metadata', metadatas([[['SourceURL', rows[1]], ['Title', TITLE]]])),
      parameter('UserData', 'userdata', userData({ Extend: `it's "é", %2B + \\ $HOME` })),
      parameter('SessionId', 'line', `s-${tail}`),
      parameter('EnableFirstFrameCover', 'boolean', 'true'),
    ];
    const check = async (reply, language) => {
      assert.deepEqual(reply.UploadJobs.map((job) => job.SourceURL ?? job.source_url), rows);
      const ids = reply.UploadJobs.map((job) => job.JobId);
      const info = await send('GetURLUploadInfos', [['JobIds', list(ids)], ['IncludeProgress', 'true']]);
      const second = JSON.parse(info.text).URLUploadInfoList.find((job) => job.JobId === ids[1]);
      assert.equal(second.Progress?.Title, TITLE, info.text);
      if (language !== 'haulage') assert.equal(second.UserData, params[2].value, info.text);
    };
    return { params, check };
  },
  async GetURLUploadInfos(tail) {
    const rows = urls(tail);
    const ids = await submitted(rows);
    const params = [parameter('UploadURLs', 'urls', urlList(rows)),
      parameter('IncludeProgress', 'boolean', 'true', true)];
    const check = (reply) => {
      const found = reply.URLUploadInfoList.map((job) => job.JobId);
      assert.deepEqual(found.sort(), [...ids].sort());
    };
    return { params, check };
  },
  async CancelUrlUploadJobs(tail) {
    const rows = urls(tail);
    const ids = await submitted(rows);
    const params = [parameter('UploadUrls', 'urls', urlList(rows))];
    return { params, check: (reply) => assert.deepEqual([...reply.CanceledJobs].sort(), [...ids].sort()) };
  },
  async ListUrlUploadJobs(tail) {
    await submitted(urls(tail));
    const params = [parameter('Status', 'some', 'PENDING,PROCESSING', true),
      parameter('UploadURL', 'area', `${tail}`, true),
      parameter('StartTime', 'line', '2026-01-02T03:04:05Z', true),
      parameter('EndTime', 'line', '2096-01-02T03:04:05Z', true),
      parameter('PageSize', 'integer', '5', true)];
    return { params, check: (reply) => {
      assert.ok(reply.URLUploadInfoList.length > 0);
      for (const job of reply.URLUploadInfoList) assert.ok(job.UploadURL.includes(tail), job.UploadURL);
    } };
  },
  async ReplaceUploadUrl(tail) {
    // A job that is pending is given no other URL: the refusal tells that all was understood.
    const rows = urls(tail);
    const [id] = await submitted(rows);
    const params = [parameter('JobId', 'line', id, true), parameter('UploadURL', 'line', rows[1], true),
      parameter('Headers', 'json', '{"X-Key":"it\'s \\"a\\" $HOME %2B"}', true)];
    const refused = async (said) => assert.match(said, /IncorrectJobStatus|It has not started/);
    return { params, check: (reply) => assert.fail(JSON.stringify(reply)), refused };
  },
  async GetUploadStatistics() {
    const params = [parameter('Minutes', 'integer', '5', true)];
    return { params, check: (reply) => assert.equal(reply.Points.length, 5) };
  },
  async GetRequestRecord() {
    const { RequestId } = await answered('ListUrlUploadJobs', []);
    const params = [parameter('Id', 'line', RequestId, true)];
    return { params, check: (reply) => assert.equal(reply.Record.Operation, 'ListUrlUploadJobs') };
  },
  async ListAccounts() {
    return { params: [], check: (reply) => assert.equal(reply.Accounts[0].Name, 'default') };
  },
  async CreateAccount(tail) {
    const params = [parameter('AccountName', 'line', tail, true), parameter('Operator', 'boolean', 'true', true)];
    return { params, check: (reply) => assert.deepEqual([reply.Account.Name, reply.Account.Operator], [tail, true]) };
  },
  async UpdateAccount(tail) {
    await answered('CreateAccount', [['AccountName', tail]]);
    const params = [parameter('AccountName', 'line', tail, true), parameter('Enabled', 'boolean', 'false', true)];
    return { params, check: (reply) => assert.equal(reply.Account.Enabled, false) };
  },
  async ListAccessKeys() {
    const check = (reply) => assert.equal(reply.AccessKeys[0].AccessKeyId, ACCESS_KEY_ID);
    return { params: [], check };
  },
  async CreateAccessKey(tail) {
    await answered('CreateAccount', [['AccountName', tail]]);
    const params = [parameter('AccountName', 'line', tail, true)];
    const check = async (reply) => {
      assert.ok(reply.AccessKeySecret.length > 20);
      assert.equal(await keyStatus(reply.AccessKeyId), 'Active');
    };
    return { params, check };
  },
  async UpdateAccessKey(tail) {
    const id = await keyOf(tail);
    const params = [parameter('UserAccessKeyId', 'line', id, true), parameter('Status', 'one', 'Inactive', true)];
    return { params, check: async () => assert.equal(await keyStatus(id), 'Inactive') };
  },
  async DeleteAccessKey(tail) {
    const id = await keyOf(tail);
    const params = [parameter('UserAccessKeyId', 'line', id, true)];
    return { params, check: async () => assert.equal(await keyStatus(id), undefined) };
  },
  async GetConfiguration() {
    const check = (reply) => {
      const { Value, From } = reply.Settings.find((setting) => setting.Name === 'transfers');
      assert.deepEqual([Value, From], ['0', 'environment']);
    };
    return { params: [], check };
  },
  async CreateConsoleSession() {
    // The command line makes a link of it.
    const check = (reply) => assert.match(reply.Ticket ?? reply.Link, /[0-9a-f]{64,}$/);
    return { params: [], check };
  },
  async GetPlayInfo() {
    const params = [
      parameter('VideoId', 'line', MEDIA_ID),
      parameter('AuthTimeout', 'integer', '600'),
      parameter('Formats', 'some', 'mp4,m3u8'),
      parameter('Trace', 'area', `a,b "c" 'd' é 中文 😀 %2B + \\ $HOME`),
    ];
    const check = (reply) => assert.ok(reply.PlayInfoList.PlayInfo[0].PlayURL.startsWith('http'));
    return { params, check, endpoint: PLAY_ENDPOINT };
  },
};

/**
 * Operations without an entry above: the required parameters with their examples. The sample must
 * get the server's answer, which may be a refusal of the example, but never of the request's form.
 */
function general(action) {
  const params = TABLE[action].parameters.filter((p) => p.required)
    .map((p) => parameter(p.name, 'line', p.example ?? 'x', TABLE[action].ours));
  const check = (reply) => assert.match(reply.RequestId, /^[0-9A-F-]{36}$/);
  const refused = async (said) => {
    const { status, text } = await send(action, params.map(({ name, value }) => [name, value]));
    const code = status === 200 ? '' : JSON.parse(text).Code;
    assert.doesNotMatch(code, /^(Missing|Signature|InvalidAction|Incomplete|InvalidTimeStamp)/);
    assert.ok(code !== '' && said.includes(code), `the server says ${code}, the sample ${said}`);
  };
  return { params, check, refused };
}

/** Every operation of the server, by the name of its call. */
function preparations() {
  for (const action of Object.keys(OPERATIONS)) assert.ok(TABLE[action], `${action} exists`);
  return Object.keys(TABLE).map((action) => [action, OPERATIONS[action] ?? (() => general(action))]);
}

/** Ways of a language that differ in its sample. */
function waysOf(id) {
  const way = (scheme, method) => ({ scheme, method });
  switch (id) {
    case 'curl': return [way('V1', 'GET'), way('V1', 'POST'), way('V3', 'GET'), way('V3', 'POST')];
    case 'python': return [way('V1', 'POST'), way('V3', 'POST')];
    case 'node': return [way('V1', 'GET'), way('V3', 'POST')];
    case 'node-classic': case 'python-classic': return [way('V1', 'GET'), way('V1', 'POST')];
    default: return [way('V3', 'POST')];
  }
}

/** No operation of the server is left out above. */
async function everyOperationIsHere() {
  const { paths } = await (await fetch(new URL('/openapi.json', ENDPOINT))).json();
  const served = Object.keys(paths).map((path) => path.split('Action=')[1]);
  assert.deepEqual(Object.keys(OPERATIONS).sort(), served.sort());
}

async function samplesRun() {
  const running = await runners();
  const work = [];
  for (const language of LANGUAGES) {
    const runner = running[language.id];
    if (!runner) continue;
    for (const [action, prepare] of preparations()) {
      // Verbs for the server's own machine have a test of their own.
      if (language.id === 'haulage' && (!haulage.hasVerb(action) || haulage.isLocal(action))) continue;
      waysOf(language.id).forEach((way, at) => {
        // A compiler is slow: one way an operation, in turn.
        const rust = language.id === 'rust' && Object.keys(TABLE).indexOf(action) % 2 === 1;
        work.push(async () => {
          const name = `${language.id}-${action}-${at}`;
          const { params, check, refused, endpoint } = await prepare(name);
          const made = language.sample(call(action, params, rust ? { scheme: 'V1', method: 'GET' } : way, endpoint));
          const { code, out, err } = await runner(name, made);
          if (code !== 0 && refused) {
            await refused(`${out}${err}`);
            return language.id;
          }
          assert.equal(code, 0, `${name} ended with ${code}: ${out}${err}\n${made}`);
          try {
            const reply = JSON.parse(out);
            if (refused && reply.Code) await refused(reply.Code);
            else await check(reply, language.id);
          } catch (error) {
            throw new Error(`${name}: ${error.message}\n${out}${err}\n${made}`, { cause: error });
          }
          return language.id;
        });
      });
    }
  }
  const ran = {};
  const lanes = Array.from({ length: AT_ONCE }, async () => {
    for (let next = work.shift(); next; next = work.shift()) {
      const id = await next();
      ran[id] = (ran[id] ?? 0) + 1;
    }
  });
  await Promise.all(lanes);
  for (const { id } of LANGUAGES) {
    if (ran[id]) console.log(`executed ${ran[id]} samples: ${id}`);
  }
  return ran;
}

/** Every sample of a language, with texts that break careless quoting. */
function allSamples(language) {
  const params = TEXTS.map((value, at) => parameter(`Name${at}`, 'line', value));
  return ['UploadMediaByURL', 'GetPlayInfo', 'ListUrlUploadJobs', 'CancelUrlUploadJobs'].flatMap(
    (action) => ['V1', 'V3'].map((scheme) => language.sample(call(action, params, { scheme, method: 'POST' }))));
}

/** Checkers of syntax for what is not executed, and for what is, too. */
const CHECKERS = {
  java: ['java', (files) => ['java', ['--add-modules', 'jdk.compiler',
    new URL('CheckSyntax.java', import.meta.url).pathname, ...files]], 'java'],
  go: ['gofmt', (files) => ['gofmt', ['-l', '-e', ...files]], 'go'],
  php: ['php', (files) => ['sh', ['-c', 'for f; do php -l "$f" || exit 1; done', 'sh', ...files]], 'php'],
  curl: ['bash', (files) => ['bash', ['-c', 'for f; do bash -n "$f" || exit 1; done', 'sh', ...files]], 'sh'],
  haulage: ['bash', (files) => ['bash', ['-c', 'for f; do bash -n "$f" || exit 1; done', 'sh', ...files]], 'sh'],
  csharp: [PYTHON, (files) => [PYTHON, [new URL('check_csharp.py', import.meta.url).pathname, ...files]], 'cs'],
  aliyun: ['bash', (files) => ['bash', ['-c', 'for f; do bash -n "$f" || exit 1; done', 'sh', ...files]], 'sh'],
};

/** No program in any of the languages. */
const BROKEN = '<?php ) if ( { "\n';

async function syntaxIsRight() {
  for (const language of LANGUAGES) {
    const checker = CHECKERS[language.id];
    if (!checker) continue;
    const [program, command, extension] = checker;
    const isThere = language.id === 'csharp'
      ? (await run(program, ['-c', 'import tree_sitter, tree_sitter_c_sharp'])).code === 0
      : await has(program);
    if (!isThere) {
      // Where nothing may be left out, a missing checker is a failure.
      assert.notEqual(process.env.HAULAGE_TEST_REQUIRE_ALL, '1', `the checker of ${language.id} is not installed`);
      console.log(`NOT CHECKED: ${language.id}: its checker is not installed`);
      continue;
    }
    // A checker that finds nothing in broken code would find nothing at all.
    const broken = file(`broken/${language.id}.${extension}`, BROKEN);
    assert.notEqual((await run(...command([broken]))).code, 0, `${language.id}: broken code is found out`);
    const files = allSamples(language).map((text, at) => file(`syntax/${language.id}${at}.${extension}`, text));
    const { code, out, err } = await run(...command(files));
    assert.equal(code, 0, `${language.id}: ${out}${err}`);
    console.log(`syntax of ${files.length} samples is right: ${language.id}`);
  }
}

/** The verbs that work on the server's own machine, one after the other, as their samples have them. */
async function localVerbsRun() {
  const verb = async (action, params) => {
    const text = haulage.sample({
      action, ours: true, version: VERSION, host: 'h', protocol: 'http',
      params: Object.entries(params).map(([name, value]) => parameter(name, 'line', value, true)),
    });
    assert.match(text, /on the server's machine/);
    const { code, out, err } = await run('bash', ['-e', file(`local-${action}.sh`, text)]);
    assert.equal(code, 0, `${text}${out}${err}`);
    return out.trim() === '' ? {} : JSON.parse(out);
  };
  const has = async (action, params, text) => JSON.stringify(await verb(action, params)).includes(text);
  const AccountName = 'an.account-1';
  await verb('CreateAccount', { AccountName, Operator: 'true' });
  assert.ok(await has('ListAccounts', {}, AccountName));
  await verb('UpdateAccount', { AccountName, Enabled: 'false' });
  await verb('UpdateAccount', { AccountName, Enabled: 'true' });
  assert.ok(await has('UpdateAccount', { AccountName, Weight: '7' }, '"Weight":7'));
  assert.ok(await has('UpdateAccount', { AccountName, Paused: 'True' }, '"Paused":true'));
  assert.ok(await has('UpdateAccount', { AccountName, Paused: 'false' }, '"Paused":false'));
  const made = JSON.stringify(await verb('CreateAccessKey', { AccountName }));
  const [UserAccessKeyId] = /HAUL\w+/.exec(made);
  await verb('UpdateAccessKey', { UserAccessKeyId, Status: 'Inactive' });
  assert.ok(await has('ListAccessKeys', { Account: AccountName }, UserAccessKeyId));
  await verb('DeleteAccessKey', { UserAccessKeyId });
  assert.ok(!await has('ListAccessKeys', {}, UserAccessKeyId));
  console.log('executed the verbs of the server\'s own machine: haulage');
}

/** Literals mean their text: a program in the language prints what it was given, as hexadecimal. */
async function literalsMeanTheirText() {
  const texts = TEXTS.filter((text) => !text.includes('\0'));
  const expected = texts.map((text) => Buffer.from(text).toString('hex'));
  const programs = {
    javascript: [process.execPath, ['-e', texts.map((t) =>
      `console.log(Buffer.from(${quote.javascript(t)}).toString('hex'))`).join('\n')]],
    bash: ['bash', ['-c', texts.map((t) =>
      `printf %s ${quote.shell(t)} | od -An -v -tx1 | tr -d ' \\n'; echo`).join('\n')]],
    python: [HAS_PYTHON ? PYTHON : 'python3', ['-c', texts.map((t) =>
      `print(${quote.python(t)}.encode().hex())`).join('\n')]],
  };
  if (await has('java')) {
    const lines = texts.map((t) => `for (byte b : ${quote.java(t)}.getBytes("UTF-8")) System.out.printf("%02x", b); System.out.println();`);
    const source = `class Literals { public static void main(String[] a) throws Exception {\n${lines.join('\n')}\n} }`;
    programs.java = ['java', ['-Dfile.encoding=UTF-8', file('Literals.java', source)]];
  }
  if (await has('php')) {
    programs.php = ['php', ['-r', texts.map((t) => `echo bin2hex(${quote.php(t)}), "\\n";`).join('\n')]];
  }
  if (await has('rustc')) {
    const lines = texts.map((t) => `for b in ${quote.rust(t)}.bytes() { print!("{b:02x}"); } println!();`);
    const source = file('literals.rs', `fn main() {\n${lines.join('\n')}\n}`);
    const program = path.join(SCRATCH, 'literals');
    const made = await run('rustc', ['--edition', '2024', '-o', program, source]);
    assert.equal(made.code, 0, made.err);
    programs.rust = [program, []];
  }
  for (const [name, command] of Object.entries(programs)) {
    const { out, err } = await run(...command);
    assert.deepEqual(out.trimEnd().split('\n'), expected, `${name}: ${err}`);
    console.log(`literals mean their text: ${name}`);
  }
}

await everyOperationIsHere();
await literalsMeanTheirText();
await syntaxIsRight();
await localVerbsRun();
const ran = await samplesRun();
if (!HAS_PYTHON || !HAS_NODE_SDKS) console.log('NOT EXECUTED: the SDKs are not installed');
for (const id of ['curl', 'haulage']) assert.ok(ran[id] > 0, `${id} ran`);
console.log('samples: all hold');
