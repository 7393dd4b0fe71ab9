/**
 * The endpoint that tools ask about each of their visitors. Ordinary questions do not come this
 * way: see straight-way.
 */
import type { z } from 'zod';
import type { Api } from '../endpoints/endpoint.js';
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
Any credential will do: the token or the cookie of a person, an API key, an agent's key, a token of an issuer elsewhere that is trusted
here. The token of an app, or one that an agent asked for, must have the scope \`tools:validate\`, and be meant for this API or, when
\`tool\` names it, for the tool's own URL.

A token that is bound to a key (RFC 9449) is valid with the proof that the visitor sent to the tool: pass it on as \`dpop\`. It is good
once; a nonce in it is between the two of you. A workload that shows a certificate of its trust domain may ask who it is
itself; where \`tool\` is named, that is the tool's own certificate, and no visitor's.

Who may nothing in the tool is valid all the same: \`permission\` is null then.`.trim();

export function addValidate({ api, cookie, validation }: Deps): void {
  api.post(
    VALIDATE,
    {
      summary: 'Who is behind this credential, and what may they in my tool?',
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

  async function validate(ctx: Context, question: z.output<typeof ValidateRequest>): Promise<void> {
    ctx.body = await validation.respond(() => present(ctx, question), question);
  }

  /**
   * A certificate is that of whoever asks. It is looked at where there is nothing else, and where
   * no tool asks: a visitor who brought nothing would be let in there as the tool itself.
   */
  function present(ctx: Context, { tool = null }: z.output<typeof ValidateRequest>) {
    const presented = extractCredential(ctx, cookie.browsers.cookieName);
    if (presented?.by === 'cookie') cookie.checkChange(ctx);
    const { certificates } = ctx.state;
    return presented ?? (certificates.length > 0 && tool === null ? { certificates } : undefined);
  }
}
