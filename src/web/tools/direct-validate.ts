/**
 * The direct route of `POST /api/validate`, which tools call for each of their visitors, thousands
 * of times a minute. Serves plain requests without Koa: one bearer token and a short JSON body.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { RequestMeta } from '../../base/request-meta.js';
import type { PresentedCredential } from '../endpoints/extract-credential.js';
import { readJson } from '../endpoints/json-body.js';
import { hasSeveralAuthorizationHeaders } from '../http/authorization-header.js';
import { validate } from '../http/body.js';
import type { ClientCertificateReader } from '../http/client-certificate.js';
import type { DirectRoute } from '../http/pipeline.js';
import { setLimitHeaders } from '../http/rate-limit-headers.js';
import { sendJson } from '../http/send-json.js';
import { VALIDATE, ValidateRequest, type Validation } from './validation.js';

interface Deps {
  validation: Validation;
  certificates: Pick<ClientCertificateReader, 'certificatesOf'>;
}

const MAX_BODY_BYTES = 4096;
const BEARER = /^Bearer +([\w.~+/-]+=*)$/i;
const JSON_TYPE = /^application\/json(?:; ?charset=utf-8)?$/i;
/** A request with one of these headers goes through Koa. */
const KOA_ONLY_HEADERS = ['x-api-key', 'dpop', 'origin', 'content-encoding', 'transfer-encoding', 'expect'];

export function createDirectValidate({ validation, certificates }: Deps): DirectRoute {
  return { route: `POST ${VALIDATE}`, accepts, handle };

  async function handle(req: IncomingMessage, res: ServerResponse, { address }: RequestMeta): Promise<void> {
    const limit = await validation.count(address);
    if (limit) setLimitHeaders(res, limit);
    const input = validate(ValidateRequest, await readBody(req), 'body');
    const presentation = { scheme: 'bearer' as const, certificates: certificates.certificatesOf(req) };
    const presented: PresentedCredential = { value: bearerToken(req)!, source: 'header', presentation };
    sendJson(res, 200, await validation.respond(() => presented, input));
  }
}

function accepts(req: IncomingMessage): boolean {
  const { headers } = req;
  if (KOA_ONLY_HEADERS.some((name) => headers[name] !== undefined) || hasSeveralAuthorizationHeaders(req)) return false;
  const length = Number(headers['content-length'] ?? 0);
  if (length > MAX_BODY_BYTES || (length > 0 && !JSON_TYPE.test(headers['content-type'] ?? ''))) return false;
  return bearerToken(req) !== undefined;
}

const bearerToken = ({ headers }: IncomingMessage) => BEARER.exec(headers.authorization ?? '')?.[1];

async function readBody(req: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  await new Promise<void>((resolve, reject) => {
    req.on('data', (chunk: Buffer) => chunks.push(chunk)).once('end', resolve);
    req.once('error', reject).once('close', () => {
      if (!req.complete) reject(new Error('the client disconnected before the end of the body'));
    });
  });
  return readJson(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks));
}
