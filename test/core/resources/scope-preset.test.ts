// SCOPE_PRESET: the file with the scopes and agent capabilities of Signet's own API.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readScopePreset } from '../../../src/base/config/scope-preset.js';
import { readConfig } from '../../../src/base/config.js';
import { requestToken } from '../../support/relying-party.js';
import { callApi } from '../../support/request.js';
import { startServer, type TestServer } from '../../support/server.js';

const folder = mkdtempSync(join(tmpdir(), 'signet-preset-'));
const preset = (content: unknown, name = 'preset.json') => {
  const path = join(folder, name);
  writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content));
  return path;
};
const ADMIN = { name: 'admin', description: 'Do everything. Only for agents that you trust as yourself.' };

async function supportedScopes(server: TestServer) {
  const response = await fetch(`${server.origin}/.well-known/openid-configuration`);
  return ((await response.json()) as { scopes_supported: string[] }).scopes_supported;
}

async function capabilities(server: TestServer) {
  return (await callApi(server, 'GET', '/capabilities')).json as unknown as { name: string; description: string }[];
}

async function tokenScope(server: TestServer, scope?: string) {
  const client = await server.client({ redirect_uris: [], grant_types: ['client_credentials'] });
  const resource = `${server.issuer}/api/v1`;
  const { body } = await requestToken(server, client, {
    grant_type: 'client_credentials',
    resource,
    ...(scope && { scope }),
  });
  return body.scope ?? body.error;
}

afterAll(() => rmSync(folder, { recursive: true }));

describe('the built-in scope preset', () => {
  it('is used when SCOPE_PRESET is empty', () => {
    const file = JSON.parse(readFileSync(join(import.meta.dirname, '../../../presets/default.json'), 'utf8'));
    expect(readConfig({ NODE_ENV: 'test' }).scopePreset).toEqual(file);
    expect(Object.keys(file.scopes)).toContain('memory:read');
    expect(Object.keys(file.capabilities)).toContain('read:cap-table');
  });
});

describe('a scope preset of the operator', () => {
  let server: TestServer;
  beforeAll(async () => {
    const path = preset({
      scopes: { 'notes:read': 'Read your notes.' },
      capabilities: { 'publish:notes': 'Publish notes.' },
    });
    server = await startServer({ settings: { SCOPE_PRESET: path } });
  });
  afterAll(() => server.close());

  it('replaces the scopes in discovery', async () => {
    const scopes = await supportedScopes(server);
    expect(scopes).toEqual(expect.arrayContaining(['openid', 'notes:read', 'tools:validate', 'publish:notes']));
    expect(scopes).not.toContain('memory:read');
    expect(scopes).not.toContain('read:cap-table');
  });

  it('replaces the capabilities, and keeps admin last', async () => {
    expect(await capabilities(server)).toEqual([{ name: 'publish:notes', description: 'Publish notes.' }, ADMIN]);
  });

  it('makes its scopes the default of a token request, but not its capabilities', async () => {
    expect(await tokenScope(server)).toBe('notes:read');
    expect(await tokenScope(server, 'notes:read publish:notes')).toBe('notes:read publish:notes');
  });
});

describe('the scope preset none', () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startServer({ settings: { SCOPE_PRESET: 'none' } });
  });
  afterAll(() => server.close());

  it('leaves the scopes of OpenID Connect and of tools', async () => {
    expect((await supportedScopes(server)).sort()).toEqual(
      ['openid', 'offline_access', 'profile', 'email', 'phone', 'address', 'tools:validate'].sort(),
    );
  });

  it('leaves the capability admin', async () => {
    expect(await capabilities(server)).toEqual([ADMIN]);
  });
});

describe('a preset file that is not usable', () => {
  const NAMES = { 'notes:read': 'Read your notes.' };
  it.each([
    ['a file that does not exist', () => join(folder, 'missing.json'), /^cannot be read: ENOENT/],
    ['text that is not JSON', () => preset('{'), /^is not JSON$/],
    ['an unknown section', () => preset({ scope: NAMES }), /Unrecognized key: "scope"/],
    ['a list', () => preset([]), /^is not a valid preset: /],
    ['a name with a space', () => preset({ scopes: { 'a b': 'A and b.' } }), /scopes\.a b is not a scope name$/],
    ['a scope of OpenID Connect', () => preset({ scopes: { openid: 'Sign in.' } }), /scopes\.openid is reserved$/],
    ['the capability admin', () => preset({ capabilities: { admin: 'All.' } }), /capabilities\.admin is reserved$/],
    ['an empty description', () => preset({ scopes: { a: ' ' } }), /scopes\.a needs a description$/],
    ['a name in both sections', () => preset({ scopes: NAMES, capabilities: NAMES }), /"notes:read" is both/],
  ])('rejects %s', (_, path, message) => {
    expect(() => readScopePreset(path())).toThrow(message);
  });

  it('is reported with the name of the setting', () => {
    const read = () => readConfig({ NODE_ENV: 'test', SCOPE_PRESET: join(folder, 'missing.json') });
    expect(read).toThrow(/SCOPE_PRESET cannot be read: .*allowed: the path of a JSON file, or none/);
  });
});
