// Somebody with an account of this house, who is signed in to it in a browser.
import { Browser } from './browser.js';
import { type House, PASSWORD } from './server.js';

export async function visit(house: House, name = 'Jane Developer') {
  const { email, id } = await house.account(undefined, name);
  const browser = new Browser(house.origin);
  await browser.signIn(email, PASSWORD);
  return { id, email, browser };
}
