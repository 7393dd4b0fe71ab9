/** The current user: profile, preferences and sessions. */
import { z } from 'zod';
import { notFound } from '../../base/app-error.js';
import { FIRST_PAGE } from '../../base/paging.js';
import type { Account } from '../../core/accounts/accounts.js';
import type { Core } from '../../core/core.js';
import { type AccountPrincipal, actorOf, type SessionPrincipal } from '../../core/credentials/principal.js';
import { ORGANIZATION_ROLES } from '../../core/organizations/roles.js';
import type { Session } from '../../core/sessions/sessions.js';
import { LEVELS } from '../../core/tools/levels.js';
import type { Api } from '../endpoints/endpoints.js';
import { boundedString } from '../endpoints/json-body.js';
import { PageQuery, sendPage } from '../endpoints/paging.js';
import type { Context } from '../http/context.js';
import { MessageResponse, toUser, UserSchema } from './schemas.js';

interface Deps extends Pick<Core, 'organizations' | 'permissions' | 'profiles' | 'projects' | 'sessions'> {
  api: Api;
}

const Me = UserSchema.extend({
  organizations: z.array(z.object({ id: z.string(), name: z.string(), role: z.enum(ORGANIZATION_ROLES) })),
  projects: z.array(z.object({ id: z.string(), name: z.string(), organization_id: z.string() })),
  tools: z.array(z.object({ slug: z.string(), name: z.string(), url: z.string().nullable(), level: z.enum(LEVELS) })),
}).meta({ id: 'Me' });
const ProfileSchema = z
  .object({
    name: z.string().nullable(),
    full_name: z.string().nullable(),
    given_name: z.string().nullable(),
    family_name: z.string().nullable(),
    picture: z.string().nullable(),
    timezone: z.string().nullable(),
    language: z.string().nullable(),
    notifications: z.record(z.string(), z.boolean()),
  })
  .meta({ id: 'Profile' });
const ProfilePatch = z.object({
  name: boundedString().nullable().optional(),
  full_name: boundedString().nullable().optional(),
  given_name: boundedString().nullable().optional(),
  family_name: boundedString().nullable().optional(),
  picture: boundedString().nullable().optional(),
  timezone: boundedString().nullable().optional().describe('An IANA time zone, such as Europe/Vienna.'),
  language: boundedString().nullable().optional().describe('A language tag (BCP 47), such as de-AT.'),
  notifications: z.record(boundedString(100), z.boolean()).optional().describe('Replaces all settings.'),
});
const SessionSchema = z
  .object({
    id: z.string(),
    current: z.boolean(),
    channel: z.enum(['browser', 'json']).describe('How the session was created: on a page, or through this API.'),
    ip_address: z.string().nullable(),
    user_agent: z.string().nullable(),
    amr: z.array(z.string()),
    created_at: z.iso.datetime(),
    last_seen_at: z.iso.datetime(),
    expires_at: z.iso.datetime(),
  })
  .meta({ id: 'Session' });

export function addMe({ api, organizations, permissions, profiles, projects, sessions }: Deps): void {
  const accepts = ['session'] as const;
  const readers = ['session', 'external', 'api-key'] as const;
  api.get('/api/v1/auth/me', { summary: 'Get the current user', accepts: readers, response: [200, Me] }, me);
  api.get(
    '/api/v1/auth/me/profile',
    { summary: 'Get my preferences', accepts: readers, response: [200, ProfileSchema] },
    showProfile,
  );
  api.patch(
    '/api/v1/auth/me/profile',
    { summary: 'Update my preferences', accepts, body: ProfilePatch, response: [200, ProfileSchema] },
    changeProfile,
  );
  api.get(
    '/api/v1/auth/sessions',
    { summary: 'List my sessions', accepts, query: PageQuery, response: [200, z.array(SessionSchema)] },
    listSessions,
  );
  api.delete(
    '/api/v1/auth/sessions',
    { summary: 'Revoke all my other sessions', accepts, response: [200, MessageResponse] },
    revokeOthers,
  );
  api.delete(
    '/api/v1/auth/sessions/:id',
    { summary: 'Revoke one of my sessions', accepts, response: [200, MessageResponse], errors: ['not_found'] },
    revokeOne,
  );

  async function me(ctx: Context, _input: unknown, principal: AccountPrincipal): Promise<void> {
    const { account } = principal;
    const memberships = await organizations.accessibleTo(actorOf(principal));
    const levels = await permissions.levelsOf(principal);
    const { items: accessible } = await projects.listFor(actorOf(principal), FIRST_PAGE);
    ctx.body = {
      ...toUser(account, await organizations.listFor(account.id)),
      organizations: memberships.map(({ id, name, role }) => ({ id, name, role })),
      projects: accessible.map(({ id, name, organizationId }) => ({ id, name, organization_id: organizationId })),
      tools: levels.map(({ tool: { slug, name, url }, level }) => ({ slug, name, url, level })),
    };
  }

  function showProfile(ctx: Context, _input: unknown, { account }: AccountPrincipal): void {
    ctx.body = toProfile(account);
  }

  async function changeProfile(ctx: Context, patch: z.output<typeof ProfilePatch>, { account }: SessionPrincipal) {
    const { full_name, name = full_name, given_name: givenName, family_name: familyName, ...rest } = patch;
    ctx.body = toProfile(await profiles.change(account.id, { name, givenName, familyName, ...rest }, ctx.state.meta));
  }

  async function listSessions(
    ctx: Context,
    page: PageQuery,
    { account, authenticated }: SessionPrincipal,
  ): Promise<void> {
    const serializeOne = (session: Session) => serialize(session, authenticated.session.id);
    sendPage(ctx, await sessions.list(account.id, page), serializeOne);
  }

  async function revokeOthers(ctx: Context, _input: unknown, { authenticated }: SessionPrincipal): Promise<void> {
    await sessions.revokeOthers(authenticated, ctx.state.meta);
    ctx.body = { ok: true, message: 'All other sessions were revoked.' };
  }

  async function revokeOne(ctx: Context, _input: unknown, { account }: SessionPrincipal): Promise<void> {
    const own = await sessions.findOwn(account.id, ctx.params.id);
    if (!own) throw notFound('Session not found.');
    await sessions.revoke(own.id, 'revoked', ctx.state.meta);
    ctx.body = { ok: true, message: 'The session was revoked.' };
  }
}

function toProfile(account: Account): z.input<typeof ProfileSchema> {
  const { name, givenName, familyName, picture, timezone, language, notifications } = account;
  return {
    name,
    full_name: name,
    given_name: givenName,
    family_name: familyName,
    picture,
    timezone,
    language,
    notifications: (notifications ?? {}) as Record<string, boolean>,
  };
}

function serialize(session: Session, currentId: string): z.input<typeof SessionSchema> {
  return {
    id: session.id,
    current: session.id === currentId,
    channel: session.channel === 'browser' ? 'browser' : 'json',
    ip_address: session.address,
    user_agent: session.userAgent,
    amr: session.amr as string[],
    created_at: session.createdAt.toISOString(),
    last_seen_at: session.lastSeenAt.toISOString(),
    expires_at: session.expiresAt.toISOString(),
  };
}
