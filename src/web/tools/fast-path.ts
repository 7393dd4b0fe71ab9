/**
 * Tools ask about each of their visitors, thousands of times a minute. Where such a question is an
 * ordinary one it is answered here: pinned, counted, logged and dressed as every other request, but
 * past the routes. Whatever is not ordinary goes the long way.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { LimitState } from '../../base/app-error.js';
import type { Log } from '../../base/log.js';
import type { PresentedCredential } from '../endpoints/extract-credential.js';
import { readJson } from '../endpoints/json-body.js';
import type { LogRequest } from '../http/access-log.js';
import { hasSeveralAuthorizations } from '../http/authorization-header.js';
import { parsed } from '../http/body.js';
import type { ClientCertificateReader } from '../http/client-certificate.js';
import type { ErrorResponses } from '../http/error-response.js';
import { limitHeaders } from '../http/rate-limit-headers.js';
import type { ApplySecurityHeaders } from '../http/security-headers.js';
import type { ResolveRequestMeta } from '../http/trusted-proxy.js';
import { VALIDATE, ValidateRequest, type Validation } from './validation.js';

interface Deps {
  validation: Validation;
  errorResponses: ErrorResponses;
  certificates: Pick<ClientCertificateReader, 'certificatesOf'>;
  resolveRequestMeta: ResolveRequestMeta;
  logRequest: LogRequest;
  applySecurityHeaders: ApplySecurityHeaders;
  log: Log;
}

const MAX_BODY_BYTES = 4096;
const BEARER = /^Bearer +([\w.~+/-]+=*)$/i;
const JSON_TYPE = /^application\/json(?:; ?charset=utf-8)?$/i;
/** With one of these, a question is not an ordinary one. */
const SPECIAL = ['x-api-key', 'dpop', 'origin', 'content-encoding', 'transfer-encoding', 'expect'];

export function createToolsFastPath(deps: Deps) {
  const { validation, errorResponses, certificates, resolveRequestMeta, logRequest, applySecurityHeaders, log } = deps;
  return { tryHandle };

  /** Answers an ordinary question. False, and nothing has happened, when it is none. */
  function tryHandle(req: IncomingMessage, res: ServerResponse): boolean {
    if (req.url !== VALIDATE || req.method !== 'POST') return false;
    const credential = ordinaryCredential(req);
    if (credential === undefined) return false;
    go(req, res, credential).catch((error) => {
      log.error({ error }, 'failed');
      res.destroy();
    });
    return true;
  }

  async function go(req: IncomingMessage, res: ServerResponse, value: string): Promise<void> {
    const meta = resolveRequestMeta(req, res);
    logRequest({ method: 'POST', path: VALIDATE }, res, meta);
    applySecurityHeaders(VALIDATE, res);
    res.setHeader('Vary', 'Origin');
    let limit: LimitState | undefined;
    try {
      limit = await validation.count(meta.address);
      const question = parsed(ValidateRequest, await readQuestion(req), 'body');
      const presentation = { scheme: 'bearer' as const, certificates: certificates.certificatesOf(req) };
      const presented: PresentedCredential = { value, by: 'header', presentation };
      const answer = await validation.respond(() => presented, question);
      send(res, 200, limit ? limitHeaders(limit) : {}, answer);
    } catch (error) {
      if (req.errored || res.destroyed) return; // whoever asked has gone
      const refusal = errorResponses.toAppError(error, meta.requestId);
      const { headers, body } = errorResponses.responseFor(refusal, VALIDATE, meta.requestId);
      send(res, refusal.status, { ...(limit && limitHeaders(limit)), ...headers }, body);
    }
  }
}

/** The token of a question that nothing is special about: one token, JSON, and short. */
function ordinaryCredential(req: IncomingMessage): string | undefined {
  const { headers } = req;
  if (SPECIAL.some((name) => headers[name] !== undefined) || hasSeveralAuthorizations(req)) return undefined;
  const length = Number(headers['content-length'] ?? 0);
  if (length > MAX_BODY_BYTES || (length > 0 && !JSON_TYPE.test(headers['content-type'] ?? ''))) return undefined;
  return BEARER.exec(headers.authorization ?? '')?.[1];
}

async function readQuestion(req: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  await new Promise<void>((resolve, reject) => {
    req.on('data', (chunk: Buffer) => chunks.push(chunk)).once('end', resolve);
    req.once('error', reject).once('close', () => {
      if (!req.complete) reject(new Error('the question broke off'));
    });
  });
  return readJson(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks));
}

function send(res: ServerResponse, status: number, headers: Record<string, string>, body: object): void {
  const text = JSON.stringify(body);
  for (const name in headers) res.setHeader(name, headers[name]!);
  res.writeHead(status, {
    'Content-Type': 'application/json; charset=utf-8',
    'Content-Length': Buffer.byteLength(text),
  });
  res.end(text);
}
