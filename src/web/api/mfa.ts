/** Two-factor authentication and re-authentication through the JSON API. */
import { z } from 'zod';
import type { Core } from '../../core/core.js';
import type { LoginPrincipal } from '../../core/credentials/principal.js';
import type { Api } from '../endpoints/endpoints.js';
import { boundedString } from '../endpoints/json-body.js';
import type { Context } from '../http/context.js';
import { Done } from './schemas.js';

interface Deps extends Pick<Core, 'mfa' | 'signIn'> {
  api: Api;
}

const Proof = z
  .object({ password: boundedString().optional(), otp: boundedString().optional() })
  .refine(({ password, otp }) => password || otp, {
    path: ['password'],
    message: 'Give the password, or a code as otp.',
  });
const Code = z.object({ otp: boundedString() });
const EnrolmentSchema = z.object({
  secret: z.string().describe('The secret for typing: 160 bits, base32.'),
  otpauth_uri: z.string(),
  qr_svg: z.string().describe('The URI as a QR code.'),
});
const Codes = z.object({ recovery_codes: z.array(z.string()).describe('Shown once.') });

export function addMfa({ api, mfa, signIn }: Deps): void {
  const accepts = ['login'] as const;
  const requireRecentAuthentication = true;
  api.post(
    '/api/v1/auth/reauth',
    {
      summary: 'Authenticate again with password or second factor',
      accepts,
      body: Proof,
      response: [200, Done],
      errors: ['invalid_credentials', 'invalid_otp', 'auth_rate_limited'],
    },
    reauthenticate,
  );
  api.post(
    '/api/v1/auth/mfa/totp',
    {
      summary: 'Start the enrollment of an authenticator app',
      accepts,
      requireRecentAuthentication,
      response: [200, EnrolmentSchema],
      errors: ['conflict'],
    },
    begin,
  );
  api.post(
    '/api/v1/auth/mfa/totp/confirm',
    {
      summary: 'Confirm an authenticator app and revoke my other sessions',
      accepts,
      requireRecentAuthentication,
      body: Code,
      response: [200, Codes],
      errors: ['invalid_otp', 'conflict'],
    },
    confirm,
  );
  api.delete(
    '/api/v1/auth/mfa/totp',
    {
      summary: 'Remove the authenticator app and its recovery codes, and revoke my other sessions',
      accepts,
      requireRecentAuthentication,
      response: [200, Done],
      errors: ['not_found'],
    },
    remove,
  );
  api.post(
    '/api/v1/auth/mfa/recovery-codes',
    {
      summary: 'Regenerate recovery codes',
      accepts,
      requireRecentAuthentication,
      response: [200, Codes],
      errors: ['not_found'],
    },
    renewRecoveryCodes,
  );

  async function reauthenticate(
    ctx: Context,
    input: z.output<typeof Proof>,
    { authenticated }: LoginPrincipal,
  ): Promise<void> {
    await signIn.reauthenticate(authenticated, input, ctx.state.meta);
    ctx.body = { ok: true, message: 'You proved who you are.' };
  }

  async function begin(ctx: Context, _input: unknown, { account }: LoginPrincipal): Promise<void> {
    const { secret, otpauthUri, qrSvg } = await mfa.begin(account);
    ctx.body = { secret, otpauth_uri: otpauthUri, qr_svg: qrSvg };
  }

  async function confirm(
    ctx: Context,
    { otp }: z.output<typeof Code>,
    { authenticated }: LoginPrincipal,
  ): Promise<void> {
    ctx.body = { recovery_codes: await mfa.confirm(authenticated, otp, ctx.state.meta) };
  }

  async function remove(ctx: Context, _input: unknown, { authenticated }: LoginPrincipal): Promise<void> {
    await mfa.remove(authenticated, ctx.state.meta);
    ctx.body = { ok: true, message: 'The second factor is removed.' };
  }

  async function renewRecoveryCodes(ctx: Context, _input: unknown, { account }: LoginPrincipal): Promise<void> {
    ctx.body = { recovery_codes: await mfa.renewRecoveryCodes(account, ctx.state.meta) };
  }
}
