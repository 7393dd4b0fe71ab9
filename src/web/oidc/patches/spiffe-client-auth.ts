/**
 * SPIFFE client authentication (draft-ietf-oauth-spiffe-client-auth). An X.509-SVID works as mutual
 * TLS. oidc-provider does not know JWT-SVIDs, so this passes them on as the client's secret and
 * verifies them where secrets are compared.
 */
import { decodeJwt } from 'jose';
import Provider from 'oidc-provider';
import { WORKLOAD_AUTH_METHODS } from '../../../core/clients/metadata.js';
import type { WorkloadIdentities } from '../../../core/credentials/workload-identities.js';
import { ROUTES, TOKEN_ALIAS_PATH } from '../paths.js';
import type { ProviderContext, ProviderInternals } from '../provider-internals.js';

interface Deps {
  issuer: string;
  workloadIdentities: WorkloadIdentities;
}

/** `svid` is set only if the request has a JWT-SVID assertion. */
type SpiffeContext = Partial<ProviderContext> & { svid?: string };

const ASSERTION_TYPE = 'urn:ietf:params:oauth:client-assertion-type:jwt-spiffe';

/** Adds a hook for parameters and patches `Client` of a provider. */
export function patchSpiffeClientAuth(internals: ProviderInternals, { issuer, workloadIdentities }: Deps): void {
  const { Client: ClientModel } = internals;
  const { compareClientSecret } = ClientModel.prototype;
  const audience = [issuer, `${issuer}${ROUTES.token}`, `${issuer}${TOKEN_ALIAS_PATH}`];

  internals.paramsHooks.push(function passSvidAsSecret(params, context: SpiffeContext) {
    const { client_assertion_type: type, client_assertion: svid, client_secret: secret } = params;
    // oidc-provider rejects a request that has a secret as well, because these are two methods.
    if (type !== ASSERTION_TYPE || typeof svid !== 'string' || secret !== undefined) return;
    context.svid = svid;
    const { client_id: clientId = subjectOf(svid) } = params;
    Object.assign(params, { client_id: clientId, client_secret: svid });
    Object.assign(params, { client_assertion: undefined, client_assertion_type: undefined });
  });

  ClientModel.prototype.compareClientSecret = async function compareSvid(actual) {
    const { svid } = (Provider.ctx?.oidc ?? {}) as SpiffeContext;
    if (this.spiffe_id !== this.clientId) return svid === undefined && compareClientSecret.call(this, actual);
    if (svid !== actual) return false;
    const verdict = await workloadIdentities.fromToken(actual, audience);
    return verdict.kind === 'valid' && verdict.spiffeId.id === this.spiffe_id && !hasSeveralAudiences(actual);
  };

  internals.responseHooks.push(function advertiseSpiffeMethods(ctx) {
    const methods = (ctx.body as { token_endpoint_auth_methods_supported?: string[] } | undefined)
      ?.token_endpoint_auth_methods_supported;
    if (ctx.oidc?.route === 'discovery' && workloadIdentities.isEnabled()) methods?.push(...WORKLOAD_AUTH_METHODS);
  });
}

/** Reports whether the token has several audiences, each of which could replay it here. */
const hasSeveralAudiences = (token: string) => {
  const { aud } = decodeJwt(token);
  return Array.isArray(aud) && aud.length !== 1;
};

function subjectOf(token: string): string | undefined {
  try {
    return decodeJwt(token).sub;
  } catch {
    return undefined;
  }
}
