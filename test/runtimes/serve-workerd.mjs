// The service on workerd, the runtime of Cloudflare's Workers, without anything of Node. It is made
// while the module loads, as elsewhere.
import { env } from 'cloudflare:workers';
import { createService } from './service.mjs';

const service = createService(JSON.parse(env.SERVICE_SETTINGS));
export default { fetch: (request) => service(request) };
