// An app without any library: test/clients/standard_library.py.
import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isActive } from '../../support/relying-party.js';
import { PASSWORD, startServer, type TestServer } from '../../support/server.js';

const PROGRAM = fileURLToPath(new URL('../../clients/standard_library.py', import.meta.url));

interface Result {
  client: { client_id: string; client_secret?: string };
  tokens: { access_token: string; refresh_token: string };
  claims: { sub: string };
  userinfo: { sub: string };
  refreshed: { access_token: string; refresh_token: string };
  userinfo_after_refresh: { sub: string };
}

describe("an app on Python's standard library", () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startServer();
  });
  afterAll(() => server.close());

  /** Runs the app once. Rejects with the message of its error output. */
  async function run(user: { email: string; password?: string; public?: boolean }): Promise<Result> {
    const app = spawn('python3', [PROGRAM], { stdio: ['pipe', 'pipe', 'pipe'] });
    const exited = new Promise<number | null>((resolve, reject) => app.once('exit', resolve).once('error', reject));
    app.stdin.end(JSON.stringify({ issuer: server.issuer, password: PASSWORD, public: false, ...user }));
    const [code, output, errorOutput] = await Promise.all([exited, text(app.stdout), text(app.stderr)]);
    if (code !== 0) throw new Error(errorOutput.trim());
    return JSON.parse(output);
  }

  it.each([
    ['a client secret', { public: false }],
    ['PKCE alone', { public: true }],
  ])('registers, signs a user in with %s, requests userinfo, and refreshes', async (_, options) => {
    const account = await server.account();
    const result = await run({ email: account.email, ...options });
    expect('client_secret' in result.client).toBe(!options.public);
    const user = { sub: account.id, email: account.email, email_verified: false, name: 'Jane Developer' };
    expect(result.claims).toMatchObject(user);
    expect(result.userinfo).toMatchObject({ ...user, given_name: 'Jane', family_name: 'Developer', plan: 'free' });
    expect(result.userinfo_after_refresh).toEqual(result.userinfo);
    expect(result.tokens).toMatchObject({ token_type: 'Bearer', expires_in: 28_800, scope: 'openid profile email' });
    expect(result.refreshed.refresh_token).not.toBe(result.tokens.refresh_token);
    expect(await isActive(server, result.refreshed.access_token)).toBe(true);
  });

  it('fails with a wrong password', async () => {
    const { email } = await server.account();
    await expect(run({ email, password: 'wrong' })).rejects.toThrow('the server rejected the password');
  });
});
