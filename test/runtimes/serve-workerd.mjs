// The service on workerd, the runtime of Cloudflare Workers, without Node.js APIs. It is created
// while the module loads, as on the other runtimes.
import { env } from 'cloudflare:workers';
import { createService } from './service.mjs';

const service = createService(JSON.parse(env.SERVICE_SETTINGS));
export default { fetch: (request) => service(request) };
