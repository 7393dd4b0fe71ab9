/** Two-factor authentication and re-authentication through the JSON API. */
import { z } from 'zod';
import type { Core } from '../../core/core.js';
import type { SessionPrincipal } from '../../core/credentials/principal.js';
import type { Api } from '../endpoints/endpoints.js';
import { boundedString } from '../endpoints/json-body.js';
import type { Context } from '../http/context.js';
import { MessageResponse } from './schemas.js';

interface Deps extends Pick<Core, 'mfa' | 'signIn'> {
  api: Api;
}

const ReauthenticationBody = z
  .object({ password: boundedString().optional(), otp: boundedString().optional() })
  .refine(({ password, otp }) => password || otp, {
    path: ['password'],
    message: 'Enter the password, or a code as `otp`.',
  });
const CodeBody = z.object({ otp: boundedString() });
const EnrollmentSchema = z.object({
  secret: z.string().describe('The secret for typing: 160 bits, base32.'),
  otpauth_uri: z.string(),
  qr_svg: z.string().describe('The URI as a QR code.'),
});
const RecoveryCodesSchema = z.object({ recovery_codes: z.array(z.string()).describe('Shown once.') });

export function addMfa({ api, mfa, signIn }: Deps): void {
  const accepts = ['session'] as const;
  const requireRecentAuthentication = true;
  api.post(
    '/api/v1/auth/reauth',
    {
      summary: 'Authenticate again with password or second factor',
      accepts,
      body: ReauthenticationBody,
      response: [200, MessageResponse],
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
      response: [200, EnrollmentSchema],
      errors: ['conflict'],
    },
    beginEnrollment,
  );
  api.post(
    '/api/v1/auth/mfa/totp/confirm',
    {
      summary: 'Confirm an authenticator app and revoke my other sessions',
      accepts,
      requireRecentAuthentication,
      body: CodeBody,
      response: [200, RecoveryCodesSchema],
      errors: ['invalid_otp', 'conflict'],
    },
    confirmEnrollment,
  );
  api.delete(
    '/api/v1/auth/mfa/totp',
    {
      summary: 'Remove the authenticator app and its recovery codes, and revoke my other sessions',
      accepts,
      requireRecentAuthentication,
      response: [200, MessageResponse],
      errors: ['not_found'],
    },
    removeSecondFactor,
  );
  api.post(
    '/api/v1/auth/mfa/recovery-codes',
    {
      summary: 'Regenerate recovery codes',
      accepts,
      requireRecentAuthentication,
      response: [200, RecoveryCodesSchema],
      errors: ['not_found'],
    },
    regenerateRecoveryCodes,
  );

  async function reauthenticate(
    ctx: Context,
    input: z.output<typeof ReauthenticationBody>,
    { authenticated }: SessionPrincipal,
  ): Promise<void> {
    await signIn.reauthenticate(authenticated, input, ctx.state.meta);
    ctx.body = { ok: true, message: 'Authenticated.' };
  }

  async function beginEnrollment(ctx: Context, _input: unknown, { account }: SessionPrincipal): Promise<void> {
    const { secret, otpauthUri, qrSvg } = await mfa.beginEnrollment(account);
    ctx.body = { secret, otpauth_uri: otpauthUri, qr_svg: qrSvg };
  }

  async function confirmEnrollment(
    ctx: Context,
    { otp }: z.output<typeof CodeBody>,
    { authenticated }: SessionPrincipal,
  ): Promise<void> {
    ctx.body = { recovery_codes: await mfa.confirmEnrollment(authenticated, otp, ctx.state.meta) };
  }

  async function removeSecondFactor(ctx: Context, _input: unknown, { authenticated }: SessionPrincipal): Promise<void> {
    await mfa.remove(authenticated, ctx.state.meta);
    ctx.body = { ok: true, message: 'The authenticator app and its recovery codes were removed.' };
  }

  async function regenerateRecoveryCodes(ctx: Context, _input: unknown, { authenticated }: SessionPrincipal) {
    ctx.body = { recovery_codes: await mfa.regenerateRecoveryCodes(authenticated, ctx.state.meta) };
  }
}
