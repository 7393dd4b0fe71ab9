// `npm run demo`: Signet, a third-party app with a "Sign in" button, and an API that the app calls
// for the person.
import { ISSUER, PERSON, startSignet } from '../signet.mjs';
import { startApi } from './api.mjs';
import { startApp } from './app.mjs';

const APP = 'http://localhost:3001';
const API = 'http://localhost:3002';

await startSignet([APP, API].map((url) => Number(new URL(url).port)));
await startApi({ issuer: ISSUER, url: API });
await startApp({ issuer: ISSUER, url: APP, api: API });

console.log(`
Open   ${APP}   and sign in.

  e-mail    ${PERSON.email}
  password  ${PERSON.password}      (or make an account of your own)

You will be asked what the app may know and do. Afterwards ${ISSUER}/account shows what you allowed,
and lets you take it back. Stop with Ctrl-C; ./data/demo can be deleted.
`);
