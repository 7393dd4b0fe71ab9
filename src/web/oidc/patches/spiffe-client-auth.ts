/**
 * SPIFFE client authentication (draft-ietf-oauth-spiffe-client-auth). An X.509-SVID works as mutual
 * TLS. A JWT-SVID is unknown to oidc-provider, so it is passed as the client's secret, and verified
 * where secrets are compared.
 */
import { decodeJwt } from 'jose';
import Provider from 'oidc-provider';
import { WORKLOAD_AUTH_METHODS } from '../../../core/clients/metadata.js';
import type { WorkloadIdentities } from '../../../core/credentials/workload-identities.js';
import { ROUTES, TOKEN_ALIAS } from '../paths.js';
import { type ProviderInternals, replaceContext } from '../provider-internals.js';

interface Deps {
  issuer: string;
  workloadIdentities: WorkloadIdentities;
}

type Params = Record<string, unknown>;

const ASSERTION_TYPE = 'urn:ietf:params:oauth:client-assertion-type:jwt-spiffe';
/** Patches the request context and `Client` of a provider. */
export function patchSpiffeClientAuth(internals: ProviderInternals, { issuer, workloadIdentities }: Deps): void {
  const { OIDCContext, Client: clientClass } = internals;
  const { compareClientSecret } = clientClass.prototype;
  const audience = [issuer, `${issuer}${ROUTES.token}`, `${issuer}${TOKEN_ALIAS}`];

  class SpiffeContext extends OIDCContext {
    #params: Params | undefined;
    /** Set only if the request has a JWT-SVID assertion. */
    svid: string | undefined;

    /** Assigned once, when the parameters are known. */
    override get params() {
      return this.#params;
    }

    override set params(params: Params | undefined) {
      this.#params = params;
      const { client_assertion_type: type, client_assertion: svid, client_secret: secret } = params ?? {};
      // With a secret as well, the request stays as it is: oidc-provider rejects two methods at
      // once.
      if (type !== ASSERTION_TYPE || typeof svid !== 'string' || secret !== undefined) return;
      this.svid = svid;
      const { client_id: clientId = subjectOf(svid) } = params!;
      Object.assign(params!, { client_id: clientId, client_secret: svid });
      Object.assign(params!, { client_assertion: undefined, client_assertion_type: undefined });
    }
  }
  replaceContext(internals, SpiffeContext);

  clientClass.prototype.compareClientSecret = async function compareSvid(actual) {
    const presentation = (Provider.ctx?.oidc as { svid?: string } | undefined)?.svid;
    if (this.spiffe_id !== this.clientId) return presentation === undefined && compareClientSecret.call(this, actual);
    if (presentation !== actual) return false;
    const verdict = await workloadIdentities.fromToken(actual, audience);
    return verdict.kind === 'valid' && verdict.spiffeId.id === this.spiffe_id && !hasSeveralAudiences(actual);
  };

  internals.responseHooks.push(function advertiseSpiffeMethods(ctx) {
    const methods = (ctx.body as { token_endpoint_auth_methods_supported?: string[] } | undefined)
      ?.token_endpoint_auth_methods_supported;
    if (ctx.oidc?.route === 'discovery' && workloadIdentities.isEnabled()) methods?.push(...WORKLOAD_AUTH_METHODS);
  });
}

/** One of several audiences could replay the token here. */
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
