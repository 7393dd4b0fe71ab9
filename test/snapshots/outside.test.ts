// Pins what clients, browsers and operators can see. After an intended change, run
// `npx vitest run test/snapshots -u` and review the diff.
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { errors as protocolErrors } from 'oidc-provider';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import manifest from '../../package.json' with { type: 'json' };
import { describeSettings } from '../../src/base/config/topics.js';
import { AUDIT_ACTIONS } from '../../src/core/audit/events.js';
import { Browser, formsOf } from '../support/browser.js';
import { authorizeUrl, pkce } from '../support/relying-party.js';
import { PASSWORD, startServer, type TestServer } from '../support/server.js';
import { openTokenFamily } from '../support/token-family.js';

const root = join(import.meta.dirname, '../..');
const settingsForAll = {
  TEST_AUTH: 'true',
  GITHUB_CLIENT_ID: 'x',
  GITHUB_CLIENT_SECRET: 'x',
  FEDERATION_STORE_TOKENS: 'github',
};
/** `secure` has a fixed https issuer: its documents hold no port, and its cookies have prefixes. */
let secure: TestServer;
let local: TestServer;
beforeAll(async () => {
  secure = await startServer({
    settings: { ...settingsForAll, ISSUER: 'https://id.example', RATE_LIMIT_ANONYMOUS: '1000' },
  });
  local = await startServer({ settings: settingsForAll });
});
afterAll(async () => {
  await Promise.all([secure.close(), local.close()]);
});

const get = (path: string, init: RequestInit = {}) => fetch(secure.origin + path, { redirect: 'manual', ...init });
const jsonOf = async (path: string) => (await get(path)).json();
const lines = (all: Iterable<string>) => `${[...new Set(all)].sort().join('\n')}\n`;
/** References stand on one line. */
const pretty = (value: unknown) =>
  `${JSON.stringify(value, sortMembers, 2).replace(/\{\s+("\$ref": "[^"]+")\s+\}/g, '{ $1 }')}\n`;
const pin = (text: string, file: string) => expect(text).toMatchFileSnapshot(file);

/**
 * Sorts members by name, and lists of discovery documents. Other arrays keep their order: it
 * matters in `security` and `tags`.
 */
function sortMembers(name: string, value: unknown): unknown {
  if (Array.isArray(value)) return name.endsWith('_supported') ? [...value].sort() : value;
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
}

test('the OpenAPI document', async () => {
  const document = (await jsonOf('/api/openapi.json')) as { info: { version: string } };
  document.info.version = '<version>';
  await pin(pretty(document), 'openapi.json');
});

test.each([
  'openid-configuration',
  'oauth-authorization-server',
  'oauth-protected-resource',
  'oauth-protected-resource/api/v1',
])('the document %s', async (name) => {
  await pin(pretty(await jsonOf(`/.well-known/${name}`)), `${name.replaceAll('/', '-')}.json`);
});

// Scans the sources for calls and tables of a known shape, so that function names do not matter.
test('the error codes', async () => {
  const forms = [
    /\(\s*[45]\d\d,\s*'([a-z_]+)'/g, // (status, code
    /\(\s*'([a-z]+_[a-z_]+)',\s*[`'](?:[A-Z]|\$\{)/g, // (code, sentence
    /\b([a-z_]+): \[[45]\d\d, '/g,
    /\b[45]\d\d: \['([a-z_]+)'/g,
    /\b(?:error|code|reauth_required)(?:: | = )'([a-z]+_[a-z_]+)'/g,
  ];
  const codes = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts') && !file.startsWith('generated'))
    .map((file) => readFileSync(join(root, 'src', file), 'utf8'))
    .flatMap((source) => [
      ...forms.flatMap((form) => [...source.matchAll(form)].map(([, code]) => code!)),
      ...[...source.matchAll(/new errors\.(\w+)\(/g)].flatMap(([, name]) => protocolCode(name!) ?? []),
    ]);
  await pin(lines(codes), 'error-codes.txt');
});

function protocolCode(name: string): string | undefined {
  const Known = (protocolErrors as unknown as Record<string, new (text: string) => { error: string }>)[name];
  return Known && !/^(Custom)?OIDCProviderError$/.test(name) ? new Known('').error : undefined;
}

test('the audit events', () => pin(lines(AUDIT_ACTIONS), 'audit-events.txt'));

test('the settings', () => {
  const settings = describeSettings().flatMap((topic) => topic.settings);
  const suffix = ({ isSecret }: { isSecret: boolean }) => (isSecret ? ', secret' : '');
  return pin(
    lines(settings.map((s) => `${s.variable}=${s.defaultValue}  # ${s.type ?? 'text'}${suffix(s)}`)),
    'settings.txt',
  );
});

test('the help of the command line', async () => {
  const overview = help([[]]);
  const commands = overview.slice(overview.indexOf('Commands:'));
  const names = [...commands.matchAll(/^ {2}([a-z-]+(?: [a-z-]+)*)/gm)].map(([, name]) => name!.split(' '));
  expect(names.length).toBeGreaterThan(15);
  await pin(`${overview}\n${help(names)}`, 'cli.txt');
});

/** Runs all commands in one process, because a process for each takes ten seconds. */
function help(commands: string[][]): string {
  const script = `let n = 0; for (const words of ${JSON.stringify(commands)}) {
    process.argv = ['', '', ...words, '--help'];
    await import(${JSON.stringify(join(root, 'dist/cli.js'))} + '?' + (n += 1));
    process.stdout.write('\\n');
  }`;
  return execFileSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' });
}

test('the modules of the kit', async () => {
  const folder = readdirSync(join(root, 'dist/kit/adapters')).filter((file) => file.endsWith('.js'));
  const modules = ['index.js', 'spiffe.js', ...folder.map((file) => `adapters/${file}`)];
  const names = modules.map(async (file) => [file, Object.keys(await import(join(root, 'dist/kit', file))).sort()]);
  await pin(pretty({ exports: manifest.exports, ...Object.fromEntries(await Promise.all(names)) }), 'kit.json');
});

test('the routes', () =>
  pin(lines(secure.app.routes.flatMap((r) => r.methods.map((method) => `${r.path} ${method}`))), 'routes.txt'));

test('the cookies', async () => {
  const set: string[] = [];
  const unspied = fetch;
  const spy = vi.spyOn(globalThis, 'fetch').mockImplementation(async (...asked) => {
    const answer = await unspied(...asked);
    for (const cookie of answer.headers.getSetCookie()) set.push(cookieOf(cookie));
    return answer;
  });
  try {
    const { email } = await local.account();
    const browser = new Browser(local.origin);
    const client = await local.client();
    await openTokenFamily(local, client, email, {}, browser);
    const headers = { 'content-type': 'application/json', origin: local.origin };
    const body = JSON.stringify({ email, username: email, password: PASSWORD });
    for (const path of ['/api/v1/auth/login', '/api/login'])
      await fetch(local.origin + path, { method: 'POST', headers, body });
    const another = new Browser(local.origin);
    const page = await another.open('/login');
    const toGithub = formsOf(page.html).findIndex(({ action }) => action.includes('github'));
    await another.submit(page, {}, toGithub);
    await get('/login');
    const { id } = await secure.client();
    await get(new URL(authorizeUrl(secure, { id }, pkce().challenge)).href.slice(secure.origin.length));
  } finally {
    spy.mockRestore();
  }
  await pin(lines(set), 'cookies.txt');
});

/** Returns the name and the attributes that do not differ from run to run. */
function cookieOf(line: string): string {
  const [pair = '', ...attributes] = line.split('; ');
  const kept = attributes.filter((attribute) => !/^(expires|max-age)=/i.test(attribute)).sort();
  return [pair.split('=')[0], ...kept].join('; ').replace(/(interaction|authorize)\/[\w-]+/, '$1/<uid>');
}

/** Headers that Node adds. */
const OF_NODE = new Set(['connection', 'date', 'keep-alive']);

test('the names of the headers', async () => {
  const rows = ['/login', '/api/v1/auth/me', '/.well-known/openid-configuration'].map(async (path) =>
    [...(await get(path)).headers.keys()].filter((name) => !OF_NODE.has(name)).map((name) => `${path} ${name}`),
  );
  await pin(lines((await Promise.all(rows)).flat()), 'headers.txt');
});
