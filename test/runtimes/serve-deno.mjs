// The service on Deno.
import { env } from 'signet/kit';
import { createService } from './service.mjs';
import { createSvidService } from './svid.mjs';

const settings = JSON.parse(env('SERVICE_SETTINGS'));
const quiet = { port: 0, hostname: '127.0.0.1', onListen: () => {} };
const serve = (fetch) => Deno.serve(quiet, (request) => fetch(request)).addr.port;
console.log(JSON.stringify({ service: serve(createService(settings)), svid: serve(createSvidService(settings)) }));
