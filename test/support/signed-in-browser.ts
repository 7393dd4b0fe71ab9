// Somebody with an account of this house, who is signed in to it in a browser.
import { Browser } from './browser.js';
import { PASSWORD, type TestServer } from './server.js';

export async function signedInBrowser(server: TestServer, name = 'Jane Developer') {
  const { email, id } = await server.account(undefined, name);
  const browser = new Browser(server.origin);
  await browser.signIn(email, PASSWORD);
  return { id, email, browser };
}
