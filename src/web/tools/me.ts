/** The current user and their permissions. */
import { z } from 'zod';
import type { Core } from '../../core/core.js';
import type { AccountPrincipal, SessionPrincipal } from '../../core/credentials/principal.js';
import type { Api } from '../endpoints/endpoints.js';
import { boundedString } from '../endpoints/json-body.js';
import { renamePasswordField } from '../endpoints/rename-password-field.js';
import type { Context } from '../http/context.js';
import { LevelSchema, Ok, serializePrincipal, UserSchema } from './schemas.js';

interface Deps extends Pick<Core, 'permissions' | 'passwordReset'> {
  api: Api;
}

const Me = z.object({
  user: UserSchema,
  permissions: z.array(z.object({ tool_slug: z.string(), level: LevelSchema })),
});
const ChangePasswordBody = z.object({ current_password: boundedString(), new_password: boundedString() });

export function addToolsMe({ api, permissions, passwordReset }: Deps): void {
  api.get(
    '/api/me',
    {
      summary: 'Get the current user and their permissions',
      accepts: ['session', 'external', 'api-key'],
      response: [200, Me],
    },
    me,
  );
  // The current password in the request is a recent authentication.
  for (const method of ['put', 'post'] as const) {
    api[method](
      '/api/me/password',
      {
        summary: 'Change my password and revoke my other sessions',
        accepts: ['session'],
        body: ChangePasswordBody,
        response: [200, Ok],
        errors: ['invalid_credentials', 'auth_rate_limited', 'conflict'],
      },
      changePassword,
    );
  }

  async function me(ctx: Context, _input: unknown, principal: AccountPrincipal): Promise<void> {
    const levels = await permissions.levelsOf(principal);
    ctx.body = {
      user: serializePrincipal(principal),
      permissions: levels.map(({ tool, level }) => ({ tool_slug: tool.slug, level })),
    };
  }

  async function changePassword(
    ctx: Context,
    input: z.output<typeof ChangePasswordBody>,
    { authenticated }: SessionPrincipal,
  ) {
    const { current_password: current, new_password: next } = input;
    await renamePasswordField(passwordReset.changePassword(authenticated, { current, next }, ctx.state.meta));
    ctx.body = { ok: true };
  }
}
