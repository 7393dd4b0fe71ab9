// An app without any library of ours or of others: test/clients/standard_library.py.
import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isActive } from '../../support/relying-party.js';
import { PASSWORD, startServer, type TestServer } from '../../support/server.js';

const PROGRAM = fileURLToPath(new URL('../../clients/standard_library.py', import.meta.url));

interface Learned {
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

  /** Runs the app once, for this person. Rejects with what it complains about. */
  async function run(person: { email: string; password?: string; public?: boolean }): Promise<Learned> {
    const app = spawn('python3', [PROGRAM], { stdio: ['pipe', 'pipe', 'pipe'] });
    const ended = new Promise<number | null>((resolve, reject) => app.once('exit', resolve).once('error', reject));
    app.stdin.end(JSON.stringify({ issuer: server.issuer, password: PASSWORD, public: false, ...person }));
    const [code, said, complaint] = await Promise.all([ended, text(app.stdout), text(app.stderr)]);
    if (code !== 0) throw new Error(complaint.trim());
    return JSON.parse(said);
  }

  it.each([
    ['a client secret', { public: false }],
    ['PKCE alone', { public: true }],
  ])('registers, signs a person in with %s, reads who it is, and refreshes', async (_, options) => {
    const account = await server.account();
    const learned = await run({ email: account.email, ...options });
    expect('client_secret' in learned.client).toBe(!options.public);
    const person = { sub: account.id, email: account.email, email_verified: false, name: 'Jane Developer' };
    expect(learned.claims).toMatchObject(person);
    expect(learned.userinfo).toMatchObject({ ...person, given_name: 'Jane', family_name: 'Developer', plan: 'free' });
    expect(learned.userinfo_after_refresh).toEqual(learned.userinfo);
    expect(learned.tokens).toMatchObject({ token_type: 'Bearer', expires_in: 28_800, scope: 'openid profile email' });
    expect(learned.refreshed.refresh_token).not.toBe(learned.tokens.refresh_token);
    expect(await isActive(server, learned.refreshed.access_token)).toBe(true);
  });

  it('gets nowhere with a wrong password', async () => {
    const { email } = await server.account();
    await expect(run({ email, password: 'wrong' })).rejects.toThrow('the house did not take the password');
  });
});
