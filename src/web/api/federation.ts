/**
 * Signing in with a code of a provider elsewhere, which an app got by itself; the links of whoever
 * is signed in, and their tokens there.
 */
import { z } from 'zod';
import type { Core } from '../../core/core.js';
import type { LoginPrincipal } from '../../core/credentials/principal.js';
import { requireComplete } from '../endpoints/admitted.js';
import type { Api } from '../endpoints/endpoint.js';
import { text } from '../endpoints/json-body.js';
import type { Context } from '../http/context.js';
import { Done, TokenAnswer, UserSchema, type UserSerializer } from './schemas.js';

interface Deps extends Pick<Core, 'sessionIssuer' | 'federation' | 'links' | 'providerTokens'> {
  api: Api;
  userSerializer: UserSerializer;
}

const Code = z.object({ code: text(), redirect_uri: text(), code_verifier: text(128).optional() });
const CodeAndOtp = Code.extend({ otp: text().optional() });
const Answer = TokenAnswer.extend({
  user: UserSchema.extend({
    avatar_url: z.string().nullable().describe('The same as `picture`.'),
    provider_user_id: z.string().describe('Who the person is at the provider; `id` is the account.'),
  }),
}).meta({ id: 'FederatedTokenAnswer' });
const LinkSchema = z
  .object({
    id: z.string(),
    provider: z.string().nullable().describe('Null for an issuer by which nobody signs in on a page.'),
    issuer: z.string(),
    provider_user_id: z.string(),
    email: z.string().nullable().describe('As the provider told it last.'),
    created_at: z.iso.datetime(),
    last_used_at: z.iso.datetime().nullable(),
    keeps_token: z.boolean().describe('What the provider gives for me is kept: see `/api/v1/auth/links/{id}/token`.'),
  })
  .meta({ id: 'Link' });
const ProviderTokenSchema = z
  .object({
    access_token: z.string(),
    token_type: z.string(),
    scope: z.string().nullable().describe('Null when the provider did not tell.'),
    expires_at: z.iso.datetime().nullable().describe('Null when the provider did not tell.'),
  })
  .meta({ id: 'ProviderToken' });

const DESCRIPTION = `
The address must be one of \`FEDERATION_REDIRECT_URIS\`. Whoever comes for the first time gets an account, unless the e-mail address has one
already: then sign in to it, and link. A code works once: with \`mfa_required\`, get another one and send it with \`otp\`.`.trim();
const TOKEN_DESCRIPTION = `
For an app that acts for me at the provider, also while I am away: whoever has a login of mine can. It is there if
\`FEDERATION_STORE_TOKENS\` names the provider, and I came by it since. One that is about to expire is renewed first, if the provider gave
a refresh token. With \`provider_sign_in_required\` it is no longer good, and with \`not_found\` there is none: sign in with the provider
again. Each reading is written to the audit trail.`.trim();
const upstream = ['upstream_invalid_response', 'upstream_unavailable'] as const;

export function addFederation({ api, userSerializer, sessionIssuer, federation, links, providerTokens }: Deps): void {
  for (const { id, name } of federation.offered) {
    api.post(
      `/api/v1/auth/${id}/callback`,
      {
        summary: `Sign in with a code of ${name}`,
        description: DESCRIPTION,
        accepts: [],
        body: CodeAndOtp,
        response: [200, Answer],
        errors: [
          'invalid_credentials',
          'mfa_required',
          'invalid_otp',
          'account_suspended',
          'signup_closed',
          'link_required',
          'auth_rate_limited',
          ...upstream,
        ],
      },
      (ctx, input) => callback(ctx, id, input),
    );
    api.post(
      `/api/v1/auth/${id}/link`,
      {
        summary: `From now on ${name} signs me in as well`,
        accepts: ['login'],
        requireRecentAuth: true,
        body: Code,
        response: [200, Done],
        errors: ['invalid_credentials', 'conflict', 'auth_rate_limited', ...upstream],
      },
      (ctx, input, principal) => link(ctx, id, input, principal),
    );
  }
  api.get(
    '/api/v1/auth/links',
    { summary: 'Who I am at providers elsewhere', accepts: ['login'], response: [200, z.array(LinkSchema)] },
    list,
  );
  api.get(
    '/api/v1/auth/links/:id/token',
    {
      summary: 'The access token that a provider elsewhere gave for me',
      description: TOKEN_DESCRIPTION,
      accepts: ['login'],
      response: [200, ProviderTokenSchema],
      errors: ['not_found', 'provider_sign_in_required', ...upstream],
    },
    showToken,
  );
  api.delete(
    '/api/v1/auth/links/:id',
    {
      summary: 'A provider elsewhere signs me in no more; my other logins end',
      description: 'The last way to sign in stays: then the answer is `conflict`.',
      accepts: ['login'],
      requireRecentAuth: true,
      response: [200, Done],
      errors: ['not_found', 'conflict'],
    },
    unlink,
  );

  async function callback(ctx: Context, id: string, { otp, ...code }: z.output<typeof CodeAndOtp>): Promise<void> {
    const externalLogin = await federation.completeAppCode(id, given(code), ctx.state.meta);
    const authResult = await federation.authenticate(externalLogin, otp, ctx.state.meta);
    const answer = await userSerializer.tokenAnswer(
      await sessionIssuer.issueTokens(requireComplete(authResult), ctx.state.meta),
    );
    const picture = externalLogin.picture ?? answer.user.picture;
    ctx.body = {
      ...answer,
      user: { ...answer.user, picture, avatar_url: picture, provider_user_id: externalLogin.subject },
    };
  }

  async function link(
    ctx: Context,
    id: string,
    code: z.output<typeof Code>,
    { account }: LoginPrincipal,
  ): Promise<void> {
    await links.link(account, await federation.completeAppCode(id, given(code), ctx.state.meta), ctx.state.meta);
    ctx.body = { ok: true, message: 'Linked.' };
  }

  async function list(ctx: Context, _input: unknown, { account }: LoginPrincipal): Promise<void> {
    ctx.body = (await links.list(account.id)).map(
      ({ id, provider, issuer, subject, email, createdAt, lastUsedAt, keepsToken }) => ({
        id,
        provider: provider?.id ?? null,
        issuer,
        provider_user_id: subject,
        email,
        created_at: createdAt.toISOString(),
        last_used_at: lastUsedAt?.toISOString() ?? null,
        keeps_token: keepsToken,
      }),
    );
  }

  async function showToken(ctx: Context, _input: unknown, { login }: LoginPrincipal): Promise<void> {
    const token = await providerTokens.read(login, String(ctx.params.id), ctx.state.meta);
    ctx.body = {
      access_token: token.accessToken,
      token_type: token.tokenType,
      scope: token.scope ?? null,
      expires_at: token.expiresAt?.toISOString() ?? null,
    };
  }

  async function unlink(ctx: Context, _input: unknown, { login }: LoginPrincipal): Promise<void> {
    await links.unlink(login, String(ctx.params.id), ctx.state.meta);
    ctx.body = { ok: true, message: 'The link is removed.' };
  }
}

const given = ({ code, redirect_uri: redirectUri, code_verifier: codeVerifier }: z.output<typeof Code>) => ({
  code,
  redirectUri,
  codeVerifier,
});
