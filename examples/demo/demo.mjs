// `npm run demo`: starts Signet, a third-party app with a "Sign in" button, and an API that the app
// calls for its user.
import { ISSUER, startSignet, USER } from '../signet.mjs';
import { startApi } from './api.mjs';
import { startApp } from './app.mjs';

const APP = 'http://localhost:3001';
const API = 'http://localhost:3002';

await startSignet([APP, API].map((url) => Number(new URL(url).port)));
await startApi({ issuer: ISSUER, url: API });
await startApp({ issuer: ISSUER, url: APP, api: API });

console.log(`
Open   ${APP}   and sign in.

  e-mail    ${USER.email}
  password  ${USER.password}      (or create your own account)

Signet asks you which access the app gets. Later you can see and revoke it at ${ISSUER}/account. Stop with Ctrl-C; ./data/demo can be deleted.
`);
