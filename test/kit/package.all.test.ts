// The package installed in an empty project: ES modules, CommonJS, types, and the snippets of the
// documentation.
import { execFileSync, spawnSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { installKit } from '../support/packed-kit.js';

const TSC = resolve('node_modules/typescript/bin/tsc');
const SNIPPETS = ['kit.mts', 'kit.config.mts', 'stubs.mts'];
const ADAPTERS = ['express', 'hono', 'koa', 'next'];

let project: string;
const inProject = (command: string, ...args: string[]) =>
  execFileSync(command, args, {
    cwd: project,
    encoding: 'utf8',
    env: { ...process.env, SESSION_SECRET: 'a secret of thirty-two characters' },
  });
const write = (name: string, text: string) => writeFileSync(join(project, name), text);

beforeAll(() => {
  project = mkdtempSync(join(tmpdir(), 'signet-kit-'));
  installKit(project);
  for (const snippet of SNIPPETS) copyFileSync(`test/clients/snippets/${snippet}`, join(project, snippet));
});
afterAll(() => rmSync(project, { recursive: true, force: true }));

/** Returns the errors of the compiler for a project with this module setting. */
function compile(files: string[], module: string, ...more: string[]): string[] {
  const types = ['--types', 'node', '--typeRoots', resolve('node_modules/@types')];
  const strict = ['--strict', '--skipLibCheck', 'false', '--target', 'es2022', '--module', module, ...types];
  const { stdout } = spawnSync(process.execPath, [TSC, ...strict, ...more, ...files], {
    cwd: project,
    encoding: 'utf8',
  });
  return stdout
    .split('\n')
    .filter((line) => line.includes('error') && !line.startsWith('../') && !/node_modules\/@types/.test(line));
}

describe('the package of the kit', () => {
  it('installs exactly the declared dependencies', () => {
    const installed = readdirSync(join(project, 'node_modules')).filter((name) => !name.startsWith('.'));
    expect(installed).toEqual(['@noble', '@peculiar', 'asn1js', 'jose', 'signet']);
    const manifest = JSON.parse(readFileSync(join(project, 'node_modules/signet/package.json'), 'utf8'));
    expect(Object.keys(manifest.dependencies)).toEqual(['@noble/hashes', 'asn1js', 'jose']);
    expect(Object.keys(manifest.exports)).toEqual([
      './kit',
      './kit/spiffe',
      ...ADAPTERS.map((name) => `./kit/${name}`),
      './package.json',
    ]);
  });

  it('loads the same modules by import and require', () => {
    write(
      'both.mjs',
      `
      import { createRequire } from 'node:module';
      import * as imported from 'signet/kit';
      const required = createRequire(import.meta.url)('signet/kit');
      console.log(imported.IssuerUnavailable === required.IssuerUnavailable, imported.verifySession(required.signSession({ userId: 'a' }, 's'), 's').userId);
    `,
    );
    expect(inProject('node', 'both.mjs').trim()).toBe('true a');
    write(
      'required.cjs',
      ADAPTERS.map((name) => `console.log(typeof require('signet/kit/${name}').protect);`).join('\n'),
    );
    const { stdout, stderr } = spawnSync('node', ['required.cjs'], { cwd: project, encoding: 'utf8' });
    expect([stdout.trim().split('\n'), stderr]).toEqual([ADAPTERS.map(() => 'function'), '']);
  });

  it.each(['node16', 'nodenext', 'preserve'])('has types for ES modules and CommonJS with module %s', (module) => {
    const text = `
      import { createRemoteVerifier, type AuthContext, signSession } from 'signet/kit';
      ${ADAPTERS.map((name) => `import { protect as ${name} } from 'signet/kit/${name}';`).join('\n')}
      import { verifyX509Svid } from 'signet/kit/spiffe';
      export const verdict = verifyX509Svid([], () => undefined);
      const verifier = createRemoteVerifier({ issuer: 'https://id.example.com', audience: 'a' });
      export const guards = [express(verifier.resolve), koa(verifier.resolve), hono(verifier.resolve), next(verifier)];
      export const idOf = (auth: AuthContext) => (auth.type === 'human' ? auth.userId : undefined);
      export const wrong: number = signSession({ userId: 'a' }, 's');
    `;
    for (const name of ['types.mts', 'types.cts']) write(name, text);
    const errors = compile(['types.mts', 'types.cts'], module, '--noEmit');
    expect(errors).toHaveLength(2);
    for (const error of errors) expect(error).toMatch(/^types\.[mc]ts.*TS2322/);
  });

  it('runs the snippets of the documentation with only the package name changed', () => {
    expect(compile(SNIPPETS, 'nodenext', '--outDir', 'out')).toEqual([]);
    write(
      'out/run.mjs',
      `
      import * as kit from './kit.mjs';
      import config, { bound } from './kit.config.mjs';
      import { response } from './stubs.mjs';
      const login = await kit.oauthHandlers.login(new Request('https://app.example.com/auth/login/google'));
      console.log(JSON.stringify({
        payload: kit.payload, isValid: kit.isValid, auth: kit.authContext, key: kit.key.startsWith(kit.prefix), hash: kit.hash.length,
        cookie: response.headers.get('set-cookie').startsWith('capstan_session=' + kit.token), login: login.status,
        secret: [config.auth.session.secret.length, bound.auth.session.dpop], policy: kit.DELETE.policy, limit: kit.apiLimits.default.requests,
        denied: await kit.requireAuth.check({ ctx: { auth: { type: 'anonymous', isAuthenticated: false } } }),
        approve: (await kit.agentApproval.check({ ctx: { auth: kit.authContext } })).effect,
      }));
    `,
    );
    expect(JSON.parse(inProject('node', 'out/run.mjs'))).toMatchObject({
      payload: { userId: 'user_123', email: 'alice@example.com', role: 'admin' },
      isValid: true,
      auth: { type: 'agent', isAuthenticated: true, agentId: 'agent_1', permissions: ['ticket:read'] },
      key: true,
      hash: 64,
      cookie: true,
      login: 302,
      secret: [33, true],
      policy: 'requireAuth',
      limit: 100,
      denied: { effect: 'deny', reason: 'Authentication required' },
      approve: 'approve',
    });
  });
});
