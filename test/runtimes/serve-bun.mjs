// The service on Bun.
import { env } from 'signet/kit';
import { createService } from './service.mjs';
import { createSvidService } from './svid.mjs';

const settings = JSON.parse(env('SERVICE_SETTINGS'));
const serve = (fetch) => Bun.serve({ port: 0, hostname: '127.0.0.1', fetch: (request) => fetch(request) }).port;
console.log(JSON.stringify({ service: serve(createService(settings)), svid: serve(createSvidService(settings)) }));
