// Pins which kinds of credentials each JSON endpoint accepts, as its answers tell.
import { rmSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { systemMeta } from '../../src/base/request-meta.js';
import { AUDIENCE, signToken } from '../support/external-issuer.js';
import { requestToken } from '../support/relying-party.js';
import { startServer, type TestServer } from '../support/server.js';
import { openTokenFamily } from '../support/token-family.js';
import { asHeader, makeBundleFolder, makeTrustDomain } from '../support/workloads.js';

const [externalIssuer, sharedSecret] = ['https://auth.example', 'a secret that two systems share, 2'];
const domain = makeTrustDomain('example.org');
const bundles = makeBundleFolder(domain);
let server: TestServer;
beforeAll(async () => {
  server = await startServer({
    settings: {
      TEST_AUTH: 'true',
      GITHUB_CLIENT_ID: 'x',
      GITHUB_CLIENT_SECRET: 'x',
      FEDERATION_STORE_TOKENS: 'github',
      SPIFFE_TRUST_DOMAIN: domain.name,
      SPIFFE_BUNDLES: bundles.folder,
      TRUSTED_PROXIES: '127.0.0.1',
      JWT_SECRET: sharedSecret,
      JWT_ISSUER: externalIssuer,
      JWT_AUDIENCE: AUDIENCE,
    },
  });
});
afterAll(async () => {
  await server.close();
  rmSync(bundles.folder, { recursive: true, force: true });
});

const jsonOf = async <T>(path: string) => (await fetch(server.origin + path)).json() as Promise<T>;

test('the credentials that each JSON endpoint accepts', async () => {
  const [person, admin] = [await server.account(), await server.account()];
  await server.base.db.account.update({ where: { id: admin.id }, data: { role: 'admin' } });
  const login = async (id: string) => {
    const account = await server.base.db.account.findUniqueOrThrow({ where: { id } });
    return bearer(
      (await server.core.sessionIssuer.issueTokens({ account, amr: ['pwd'] }, systemMeta)).tokens.accessToken,
    );
  };
  const bearer = (text: string): Record<string, string> => ({ authorization: `Bearer ${text}` });
  // Some endpoints below revoke all sessions and grants of their caller. This grant must survive.
  const { email } = await server.account();
  const resource = `${server.issuer}/api/v1`;
  const { scopes_supported } = await jsonOf<{ scopes_supported: string[] }>('/.well-known/oauth-protected-resource');
  const scope = scopes_supported.join(' ');
  const app = await openTokenFamily(server, await server.client(), email, { scope: `openid ${scope}`, resource });
  const machine = await server.client({ grant_types: ['client_credentials'], redirect_uris: [] });
  const own = await requestToken(server, machine, { grant_type: 'client_credentials', resource, scope });
  const key = { name: 'K', format: 'sk_live', lifeSeconds: null, role: 'operator' } as const;
  const { key: apiKey } = await server.core.apiKeys.create({ account: person }, key, systemMeta);
  const wanted = { agentId: 'a', name: 'A', capabilities: ['read:cap-table'] };
  const agent = await server.core.agents.onboarding.onboardUnclaimed(wanted, systemMeta);
  const claims = { iss: externalIssuer, sub: person.id };
  const external = await signToken(new TextEncoder().encode(sharedSecret), 'HS256', claims);
  const kinds: Record<string, () => Promise<Record<string, string>>> = {
    nothing: async () => ({}),
    login: () => login(person.id),
    admin: () => login(admin.id),
    oauth: async () => bearer(app.accessToken),
    client: async () => bearer(own.body.access_token!),
    'api-key': async () => bearer(apiKey),
    'x-api-key': async () => ({ 'x-api-key': apiKey }),
    'agent-key': async () => bearer(agent.key),
    'agent-token': async () => bearer(agent.token),
    external: async () => bearer(external),
    workload: async () => ({ 'x-client-cert': asHeader(domain.workload('/app')) }),
  };
  const { paths } = await jsonOf<{ paths: Record<string, object> }>('/api/openapi.json');
  const rows: string[] = [];
  for (const [path, operations] of Object.entries(paths))
    for (const method of Object.keys(operations).map((name) => name.toUpperCase())) {
      const accepted: string[] = [];
      for (const [kind, make] of Object.entries(kinds)) {
        const url = server.origin + path.replace(/\{\w+\}/g, 'none');
        const { error } = (await (await fetch(url, { method, headers: await make() })).json()) as { error?: string };
        if (!/^(no_auth|invalid_token|insufficient_(scope|role))$/.test(error ?? '')) accepted.push(kind);
      }
      rows.push(`${path} ${method}: ${accepted.length === Object.keys(kinds).length ? 'any' : accepted.join(', ')}`);
    }
  await expect(`${rows.sort().join('\n')}\n`).toMatchFileSnapshot('credentials.txt');
});
