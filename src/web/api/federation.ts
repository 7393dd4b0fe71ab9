/**
 * Sign-in with an authorization code of an external provider, linked identities, and their tokens.
 */

import { z } from 'zod';
import { slicePage } from '../../base/paging.js';
import type { Core } from '../../core/core.js';
import type { SessionPrincipal } from '../../core/credentials/principal.js';
import type { Link } from '../../core/federation/links.js';
import type { Api } from '../endpoints/endpoints.js';
import { boundedString } from '../endpoints/json-body.js';
import { PageQuery, sendPage } from '../endpoints/paging.js';
import { requireCompleteAuthentication } from '../endpoints/require-complete.js';
import type { Context } from '../http/context.js';
import { MessageResponse, TokenResponse, UserSchema, type UserSerializer } from './schemas.js';

interface Deps extends Pick<Core, 'sessionIssuer' | 'federation' | 'links' | 'providerTokens'> {
  api: Api;
  userSerializer: UserSerializer;
}

const CodeBody = z.object({
  code: boundedString(),
  redirect_uri: boundedString(),
  code_verifier: boundedString(128).optional(),
});
const CodeAndOtpBody = CodeBody.extend({ otp: boundedString().optional() });
const FederatedTokenResponse = TokenResponse.extend({
  user: UserSchema.extend({
    avatar_url: z.string().nullable().describe('Alias of `picture`.'),
    provider_user_id: z.string().describe("The user's id at the provider. `id` is the account's id."),
  }),
}).meta({ id: 'FederatedTokenAnswer' });
const LinkSchema = z
  .object({
    id: z.string(),
    provider: z.string().nullable().describe('Null for an issuer that is not a configured provider.'),
    issuer: z.string(),
    provider_user_id: z.string(),
    email: z.string().nullable().describe("The address in the provider's latest response."),
    created_at: z.iso.datetime(),
    last_used_at: z.iso.datetime().nullable(),
    keeps_token: z.boolean().describe("The provider's tokens are stored: see `/api/v1/auth/links/{id}/token`."),
  })
  .meta({ id: 'Link' });
const ProviderTokenSchema = z
  .object({
    access_token: z.string(),
    token_type: z.string(),
    scope: z.string().nullable().describe('Null if unknown.'),
    expires_at: z.iso.datetime().nullable().describe('Null if unknown.'),
  })
  .meta({ id: 'ProviderToken' });

const DESCRIPTION = `
The redirect URI must be one of \`FEDERATION_REDIRECT_URIS\`. The first sign-in creates an account, unless the e-mail address belongs
to an existing one: then sign in to it and link the provider. A code works once: after \`mfa_required\`, send a new one with \`otp\`.`.trim();
const TOKEN_DESCRIPTION = `
For apps that act for the user at the provider. Available if \`FEDERATION_STORE_TOKENS\` names the provider and the user has signed in
with it since. A token that is about to expire is refreshed first. On \`provider_sign_in_required\` (no longer valid) and \`not_found\`
(not stored), sign in with the provider again. Each access is recorded in the audit log.`.trim();
const UPSTREAM_ERRORS = ['upstream_invalid_response', 'upstream_unavailable'] as const;

export function addFederation({ api, userSerializer, sessionIssuer, federation, links, providerTokens }: Deps): void {
  for (const { id, name } of federation.signInProviders) {
    api.post(
      `/api/v1/auth/${id}/callback`,
      {
        summary: `Sign in with an authorization code of ${name}`,
        description: DESCRIPTION,
        accepts: [],
        body: CodeAndOtpBody,
        response: [200, FederatedTokenResponse],
        errors: [
          'invalid_credentials',
          'mfa_required',
          'invalid_otp',
          'account_suspended',
          'signup_closed',
          'link_required',
          'auth_rate_limited',
          ...UPSTREAM_ERRORS,
        ],
      },
      (ctx, input) => callback(ctx, id, input),
    );
    api.post(
      `/api/v1/auth/${id}/link`,
      {
        summary: `Link ${name} to my account`,
        accepts: ['session'],
        requireRecentAuthentication: true,
        body: CodeBody,
        response: [200, MessageResponse],
        errors: ['invalid_credentials', 'conflict', 'auth_rate_limited', ...UPSTREAM_ERRORS],
      },
      (ctx, input, principal) => link(ctx, id, input, principal),
    );
  }
  api.get(
    '/api/v1/auth/links',
    {
      summary: 'List my linked identities',
      accepts: ['session'],
      query: PageQuery,
      response: [200, z.array(LinkSchema)],
    },
    list,
  );
  api.get(
    '/api/v1/auth/links/:id/token',
    {
      summary: 'Get my access token of an external provider',
      description: TOKEN_DESCRIPTION,
      accepts: ['session'],
      response: [200, ProviderTokenSchema],
      errors: ['not_found', 'provider_sign_in_required', ...UPSTREAM_ERRORS],
    },
    showToken,
  );
  api.delete(
    '/api/v1/auth/links/:id',
    {
      summary: 'Unlink an external provider and revoke my other sessions',
      description: 'The only sign-in method cannot be removed (`conflict`).',
      accepts: ['session'],
      requireRecentAuthentication: true,
      response: [200, MessageResponse],
      errors: ['not_found', 'conflict'],
    },
    unlink,
  );

  async function callback(ctx: Context, id: string, { otp, ...code }: z.output<typeof CodeAndOtpBody>): Promise<void> {
    const externalLogin = await federation.completeAppCode(id, toAuthorizationCode(code), ctx.state.meta);
    const authResult = await federation.authenticate(externalLogin, otp, ctx.state.meta);
    const response = await userSerializer.tokenResponse(
      await sessionIssuer.issueTokens(requireCompleteAuthentication(authResult), ctx.state.meta),
    );
    const picture = externalLogin.picture ?? response.user.picture;
    ctx.body = {
      ...response,
      user: { ...response.user, picture, avatar_url: picture, provider_user_id: externalLogin.subject },
    };
  }

  async function link(
    ctx: Context,
    id: string,
    code: z.output<typeof CodeBody>,
    { authenticated }: SessionPrincipal,
  ): Promise<void> {
    await links.link(
      authenticated,
      await federation.completeAppCode(id, toAuthorizationCode(code), ctx.state.meta),
      ctx.state.meta,
    );
    ctx.body = { ok: true, message: 'The provider was linked.' };
  }

  async function list(ctx: Context, page: PageQuery, { account }: SessionPrincipal): Promise<void> {
    sendPage(
      ctx,
      slicePage(await links.list(account.id), page, { list: 'links', keyOf: ({ id }) => id }),
      serializeLink,
    );
  }

  async function showToken(ctx: Context, _input: unknown, { authenticated }: SessionPrincipal): Promise<void> {
    const token = await providerTokens.read(authenticated, String(ctx.params.id), ctx.state.meta);
    ctx.body = {
      access_token: token.accessToken,
      token_type: token.tokenType,
      scope: token.scope ?? null,
      expires_at: token.expiresAt?.toISOString() ?? null,
    };
  }

  async function unlink(ctx: Context, _input: unknown, { authenticated }: SessionPrincipal): Promise<void> {
    await links.unlink(authenticated, String(ctx.params.id), ctx.state.meta);
    ctx.body = { ok: true, message: 'The provider was unlinked.' };
  }
}

const toAuthorizationCode = ({
  code,
  redirect_uri: redirectUri,
  code_verifier: codeVerifier,
}: z.output<typeof CodeBody>) => ({
  code,
  redirectUri,
  codeVerifier,
});

const serializeLink = (link: Link): z.input<typeof LinkSchema> => ({
  id: link.id,
  provider: link.provider?.id ?? null,
  issuer: link.issuer,
  provider_user_id: link.subject,
  email: link.email,
  created_at: link.createdAt.toISOString(),
  last_used_at: link.lastUsedAt?.toISOString() ?? null,
  keeps_token: link.hasStoredTokens,
});
