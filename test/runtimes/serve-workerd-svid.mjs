// The part of the service that needs node:crypto, on workerd.
import { env } from 'cloudflare:workers';
import { createSvidService } from './svid.mjs';

const service = createSvidService(JSON.parse(env.SERVICE_SETTINGS));
export default { fetch: (request) => service(request) };
