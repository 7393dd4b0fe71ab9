// A browser that is signed in to a new account.
import { Browser } from './browser.js';
import { PASSWORD, type TestServer } from './server.js';

export async function signedInBrowser(server: TestServer, name = 'Jane Developer') {
  const { email, id } = await server.account(undefined, name);
  const browser = new Browser(server.origin);
  await browser.signIn(email, PASSWORD);
  return { id, email, browser };
}
