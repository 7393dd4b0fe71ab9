/** Password reset, password change and e-mail verification. */
import { z } from 'zod';
import { unauthorized } from '../../base/app-error.js';
import { invalidLink } from '../../core/accounts/one-time-tokens.js';
import type { Core } from '../../core/core.js';
import type { SessionPrincipal } from '../../core/credentials/principal.js';
import type { Api } from '../endpoints/endpoints.js';
import { boundedString } from '../endpoints/json-body.js';
import { renamePasswordField } from '../endpoints/rename-password-field.js';
import type { Context } from '../http/context.js';
import { MessageResponse } from './schemas.js';

interface Deps extends Pick<Core, 'signIn' | 'passwordReset' | 'emailVerification'> {
  api: Api;
}

const ForgotPasswordBody = z.object({ email: boundedString() });
const ResetPasswordBody = z.object({ token: boundedString(), new_password: boundedString() });
const VerifyEmailBody = z.object({
  token: boundedString(),
  password: boundedString().optional().describe('Required unless the request is authenticated as this account.'),
});
const ChangePasswordBody = z.object({ current_password: boundedString(), new_password: boundedString() });

const VERIFY_DESCRIPTION =
  'The link alone is not enough, because a stranger can have created the account with this address. Authenticate as the account, or send its `password`. A user who does not know it resets the password instead, which also verifies the address.';
const PROOF_REQUIRED = 'Sign in to this account, or send its password.';

export function addRecovery({ api, signIn, passwordReset, emailVerification }: Deps): void {
  api.post(
    '/api/v1/auth/forgot-password',
    {
      summary: 'Request a password reset',
      accepts: [],
      body: ForgotPasswordBody,
      response: [202, MessageResponse],
    },
    forgot,
  );
  api.post(
    '/api/v1/auth/reset-password',
    {
      summary: 'Reset the password and revoke all sessions',
      accepts: [],
      body: ResetPasswordBody,
      response: [200, MessageResponse],
      errors: ['invalid_token'],
    },
    reset,
  );
  api.post(
    '/api/v1/auth/verify-email',
    {
      summary: 'Verify an e-mail address',
      description: VERIFY_DESCRIPTION,
      accepts: ['session'],
      optional: true,
      body: VerifyEmailBody,
      response: [200, MessageResponse],
      errors: ['invalid_token', 'reauth_required', 'invalid_credentials', 'auth_rate_limited'],
    },
    verify,
  );
  // The current password in the request is a recent authentication.
  api.post(
    '/api/v1/auth/change-password',
    {
      summary: 'Change the password and revoke all other sessions',
      accepts: ['session'],
      body: ChangePasswordBody,
      response: [200, MessageResponse],
      errors: ['invalid_credentials', 'auth_rate_limited', 'conflict'],
    },
    change,
  );

  async function forgot(ctx: Context, { email }: z.output<typeof ForgotPasswordBody>): Promise<void> {
    await passwordReset.requestReset(email, ctx.state.meta);
    ctx.body = { ok: true, message: 'If there is an account with this address, a link is on its way.' };
  }

  async function reset(
    ctx: Context,
    { token, new_password: password }: z.output<typeof ResetPasswordBody>,
  ): Promise<void> {
    await renamePasswordField(passwordReset.reset(token, password, ctx.state.meta));
    ctx.body = { ok: true, message: 'The password was changed. Sign in with the new one.' };
  }

  async function verify(
    ctx: Context,
    { token, password }: z.output<typeof VerifyEmailBody>,
    principal: SessionPrincipal | undefined,
  ): Promise<void> {
    const { meta } = ctx.state;
    const account = await emailVerification.accountOf(token);
    if (!account) throw invalidLink();
    if (principal?.account.id === account.id) await emailVerification.verify(token, principal.authenticated, meta);
    else if (password === undefined) throw unauthorized('reauth_required', PROOF_REQUIRED);
    else
      await emailVerification.verify(
        token,
        { account: await signIn.checkPassword(account.email, password, meta) },
        meta,
      );
    ctx.body = { ok: true, message: 'The e-mail address was verified.' };
  }

  async function change(
    ctx: Context,
    input: z.output<typeof ChangePasswordBody>,
    { authenticated }: SessionPrincipal,
  ): Promise<void> {
    const { current_password: current, new_password: next } = input;
    await renamePasswordField(passwordReset.changePassword(authenticated, { current, next }, ctx.state.meta));
    ctx.body = { ok: true, message: 'The password was changed and all other sessions were revoked.' };
  }
}
