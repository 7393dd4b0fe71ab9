// Third-party client libraries, installed in test/clients, and the Express app that most of them
// need.
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import { Browser, type Page } from './browser.js';
import { openHttpServer } from './http-server.js';
import { browserFor, completeSignIn } from './openid-client.js';
import type { TestServer } from './server.js';

const fromClients = createRequire(new URL('../clients/package.json', import.meta.url));

/** The members that Express adds to a request, as far as these apps use them. */
export interface ExpressRequest extends IncomingMessage {
  path: string;
  query: Record<string, string>;
  /** Set by Passport. */
  user?: unknown;
  logout(done: (error?: unknown) => void): void;
  session: { messages?: string[] };
  /** Set by express-openid-connect. */
  oidc: {
    user?: { sub: string; email: string };
    isAuthenticated(): boolean;
    refreshToken?: string;
    accessToken?: { access_token: string; refresh(): Promise<{ access_token: string }> };
    fetchUserInfo(): Promise<{ sub: string }>;
  };
}

export interface ExpressResponse extends ServerResponse {
  status(code: number): ExpressResponse;
  json(body: unknown): void;
  send(body: string): void;
  redirect(url: string): void;
}

export type Handler = (req: ExpressRequest, res: ExpressResponse, next: (error?: unknown) => void) => unknown;
export type ExpressErrorHandler = (
  error: Error,
  req: ExpressRequest,
  res: ExpressResponse,
  next: (error?: unknown) => void,
) => unknown;

export interface Express {
  (req: IncomingMessage, res: ServerResponse): void;
  use(path: string, handler: Handler): void;
  use(handler: Handler): void;
  use(handler: ExpressErrorHandler): void;
  get(path: string, ...handlers: Handler[]): void;
  post(path: string, ...handlers: Handler[]): void;
}

interface ExpressModule {
  (): Express;
  urlencoded(options: { extended: boolean }): Handler;
}

/** Loads a CommonJS library of test/clients. */
export const requireClient = <T>(name: string): T => fromClients(name) as T;

/** Loads an ECMAScript module of test/clients. */
export const importClient = async <T>(name: string): Promise<T> =>
  import(pathToFileURL(fromClients.resolve(name)).href);

export const express = requireClient<ExpressModule>('express');

/** Opens an Express app on a free port, which is known before the app has routes. */
export async function openExpress() {
  const app = express();
  const httpServer = await openHttpServer(
    (req, res) =>
      new Promise<void>((resolve) => {
        res.once('close', resolve);
        app(req, res);
      }),
  );
  return { app, ...httpServer };
}

/** Express sessions, kept in memory. */
export function sessions(): Handler {
  const session = requireClient<(options: Record<string, unknown>) => Handler>('express-session');
  return session({ secret: 'secret of the app', resave: false, saveUninitialized: false });
}

/** Signs in from the app's sign-in button. Returns the page of the app after the callback. */
export async function signInAt(
  visitor: Browser,
  button: Page | string,
  server: TestServer,
  email: string,
  browser = browserFor(server),
): Promise<Page> {
  const away = typeof button === 'string' ? await visitor.open(button) : button;
  const back = await completeSignIn(browser, away.url, email);
  return visitor.open(back.url);
}

export const browserOf = (app: { origin: string }) => new Browser(app.origin);
