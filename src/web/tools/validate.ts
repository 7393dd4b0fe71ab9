/**
 * `POST /api/validate`, which tools call for each visitor. direct-validate.ts serves plain
 * requests.
 */
import type { z } from 'zod';
import type { Api } from '../endpoints/endpoints.js';
import { extractCredential } from '../endpoints/extract-credential.js';
import type { Context } from '../http/context.js';
import type { ToolsCookie } from './cookie.js';
import { NotValid, VALIDATE, Valid, ValidateRequest, type Validation } from './validation.js';

interface Deps {
  api: Api;
  cookie: ToolsCookie;
  validation: Validation;
}

const DESCRIPTION = `
Accepts every credential: a user's token or cookie, an API key, an agent's key, a token of a trusted external issuer. A token of an
OAuth client or agent needs the scope \`tools:validate\`, and this API or the tool's URL as its audience.

For a DPoP-bound token (RFC 9449), send the visitor's proof as \`dpop\`. A proof is valid once; its nonce is the tool's. Without
\`tool\`, a workload can authenticate itself with its client certificate.

A visitor without access to the tool is valid too, with \`permission\` null.`.trim();

export function addValidate({ api, cookie, validation }: Deps): void {
  api.post(
    VALIDATE,
    {
      summary: 'Validate the credential of a visitor',
      description: DESCRIPTION,
      accepts: [],
      documentedCredentials: ['bearer', 'cookie'],
      limit: validation.count,
      body: ValidateRequest,
      response: [200, Valid],
      unauthorized: NotValid,
      errors: [
        'no_auth',
        'expired_token',
        'invalid_token',
        'insufficient_scope',
        'csrf_validation_failed',
        'upstream_unavailable',
      ],
    },
    validate,
  );

  async function validate(ctx: Context, input: z.output<typeof ValidateRequest>): Promise<void> {
    ctx.body = await validation.respond(() => findCredential(ctx, input), input);
  }

  /**
   * Uses the client certificate only without another credential and without `tool`: otherwise a
   * visitor without a credential would be accepted as the tool itself.
   */
  function findCredential(ctx: Context, { tool = null }: z.output<typeof ValidateRequest>) {
    const presented = extractCredential(ctx, cookie.authentication.cookieName);
    if (presented?.source === 'cookie') cookie.checkCsrf(ctx);
    const { certificates } = ctx.state;
    return presented ?? (certificates.length > 0 && tool === null ? { certificates } : undefined);
  }
}
