/** Types of the helpers that oidc-provider's own grants use. The library does not publish them. */
declare module 'oidc-provider/lib/helpers/grants.js' {
  import type Provider from 'oidc-provider';
  import type { AccessToken, KoaContextWithOIDC } from 'oidc-provider';

  export interface Proof {
    jti: string;
    thumbprint: string;
  }

  export function validateDpop(provider: Provider, ctx: KoaContextWithOIDC): Promise<Proof | undefined>;
  export function checkDpopReplay(
    provider: Provider,
    ctx: KoaContextWithOIDC,
    proof: Proof,
    clientId: string,
  ): Promise<void>;
  export function checkDpopRequired(provider: Provider, ctx: KoaContextWithOIDC, proof: Proof | undefined): void;
  export function checkMtlsCert(provider: Provider, ctx: KoaContextWithOIDC): string | undefined;
  export function resolveRequestedResources(
    provider: Provider,
    ctx: KoaContextWithOIDC,
  ): Promise<NonNullable<AccessToken['resourceServer']>[]>;
  export function buildTokenResponse(provider: Provider, response: Record<string, unknown>): Record<string, unknown>;
}
