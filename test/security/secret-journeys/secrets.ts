// Collects all secrets that journeys use, and finds them in texts in any encoding.
import { randomUUID } from 'node:crypto';
import type { Browser } from '../../support/browser.js';
import { FORM, type JsonRequest } from '../../support/request.js';
import type { TestServer } from '../../support/server.js';

const MIN_LENGTH = 8;

export type Secrets = ReturnType<typeof createSecrets>;

/** The context of a journey. */
export interface Journey {
  server: TestServer;
  secrets: Secrets;
  /** Sends a body as it is. Does not follow redirects. */
  send(path: string, body: string, type?: string, headers?: Record<string, string>, method?: string): Promise<Response>;
  sendJson(path: string, request: JsonRequest & { method?: string }): Promise<Record<string, string>>;
}

export function createJourney(server: TestServer): Journey {
  return { server, secrets: createSecrets(), send, sendJson };

  function send(path: string, body: string, type = FORM, headers: Record<string, string> = {}, method = 'POST') {
    const all = { 'content-type': type, ...headers };
    return fetch(`${server.origin}${path}`, { method, body, headers: all, redirect: 'manual' });
  }

  async function sendJson(path: string, { body, token, method }: JsonRequest & { method?: string }) {
    const headers: Record<string, string> = token ? { authorization: `Bearer ${token}` } : {};
    const content = body === undefined ? '' : JSON.stringify(body);
    const text = await (await send(path, content, 'application/json', headers, method)).text();
    return text === '' ? {} : (JSON.parse(text) as Record<string, string>);
  }
}

function createSecrets() {
  const values = new Map<string, string>();
  return { values, keep, keepAs, keepCookies, keepTokens, keepInteraction, create, findIn, encodingsOf };

  /** Keeps a secret that the server issued. Returns it. */
  function keep(name: string, value: string | undefined | null): string {
    if (!value || value.length < MIN_LENGTH) throw new Error(`${name} is too short for a secret: ${value}`);
    values.set(`${name} ${values.size}`, value);
    return value;
  }

  /** Keeps another form of a secret, of any length. */
  function keepAs(name: string, value: string): void {
    values.set(`${name} ${values.size}`, value);
  }

  /** Creates a secret that a client sends. */
  function create(name: string): string {
    return keep(name, `secret-${name.replace(/\W/g, '-')}-${randomUUID()}`);
  }

  function keepCookies({ cookies }: Browser): void {
    for (const [name, { value }] of cookies) keep(`cookie ${name}`, value);
  }

  function keepTokens(body: Record<string, unknown>): Record<string, string> {
    for (const name of ['access_token', 'refresh_token', 'id_token']) {
      if (typeof body[name] === 'string') keep(name, body[name]);
    }
    return body as Record<string, string>;
  }

  /** Keeps the id of an interaction, from its own URL or from that of the sign-in page. */
  function keepInteraction(url: URL): void {
    const path = url.searchParams.get('return_to') ?? url.pathname;
    keep('interaction', /\/interaction\/([\w-]+)/.exec(path)?.[1]);
  }

  function encodingsOf(value: string): string[] {
    const base64 = Buffer.from(value).toString('base64url');
    return [...new Set([value, encodeURIComponent(value), base64, JSON.stringify(value).slice(1, -1)])];
  }

  /** Returns the names of the secrets that a text contains. */
  function findIn(text: string): string[] {
    return [...values]
      .filter(([, value]) => encodingsOf(value).some((encoded) => text.includes(encoded)))
      .map(([name]) => name);
  }
}

/** Renames a table while something runs, so that all statements on it fail. */
export async function withoutTable<Result>(
  { base }: TestServer,
  table: string,
  run: () => Promise<Result>,
): Promise<Result> {
  await base.db.$executeRawUnsafe(`ALTER TABLE "${table}" RENAME TO "${table}_renamed"`);
  try {
    return await run();
  } finally {
    await base.db.$executeRawUnsafe(`ALTER TABLE "${table}_renamed" RENAME TO "${table}"`);
  }
}
