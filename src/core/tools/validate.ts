/**
 * Validates credentials for tools, which send us the credential of each request. All lookups are
 * cached for a second. Revoking a credential or permission invalidates the caches of all processes.
 */
import type { X509Certificate } from 'node:crypto';
import { invalidRequest, unauthorized } from '../../base/app-error.js';
import type { Credentials } from '../credentials/credentials.js';
import type { Principal } from '../credentials/principal.js';
import type { PresentedProof } from '../credentials/proof-of-possession.js';
import type { Resources } from '../resources/resources.js';
import { VALIDATE_SCOPE } from '../resources/scope.js';
import type { Level } from './levels.js';
import type { Permissions } from './permissions.js';
import type { Tool, Tools } from './tools.js';

export interface Validated {
  principal: Principal;
  /** Null: no access, or no such tool. Undefined: the request named no tool. */
  level: Level | null | undefined;
}

interface Deps {
  credentials: Pick<Credentials, 'resolve' | 'resolveCertificate'>;
  tools: Pick<Tools, 'find'>;
  permissions: Pick<Permissions, 'levelOf'>;
  resources: Pick<Resources, 'find'>;
}

/** A client certificate without any other credential. */
export interface CertificateCredential {
  certificates: X509Certificate[];
}

/** The DPoP proof that a tool received, and the request that it is for (RFC 9449). */
export interface ForwardedProof {
  proof: string;
  htm: string;
  htu: string;
}

/** A credential from a header or cookie, with its proof of possession. */
export interface Credential {
  value: string;
  presentation: PresentedProof;
}

export type Validate = ReturnType<typeof createValidate>;

/**
 * Returns `validate`. It accepts every active credential. The audience of an OAuth or agent token
 * must be Signet's API or the tool, and its scope must include `tools:validate`. It throws
 * `AppError` `expired_token`, `invalid_token` or `insufficient_scope`, all with status 401.
 */
export function createValidate({ credentials, tools, permissions, resources }: Deps) {
  return async function validate(
    presented: Credential | CertificateCredential,
    slug?: string,
    forwardedProof?: ForwardedProof,
  ): Promise<Validated> {
    const tool = slug === undefined ? undefined : await tools.find(slug);
    const principal =
      'value' in presented
        ? await fromCredential(presented, tool, forwardedProof)
        : fromCertificate(presented.certificates);
    const isToken = principal.kind === 'oauth' || (principal.kind === 'agent' && principal.by === 'token');
    if (isToken && !principal.scopes.includes(VALIDATE_SCOPE)) {
      throw unauthorized('insufficient_scope', `This token lacks the scope ${VALIDATE_SCOPE}.`);
    }
    if (slug === undefined) return { principal, level: undefined };
    return { principal, level: (tool && (await permissions.levelOf(principal, tool))) ?? null };
  };

  function fromCredential(
    { value, presentation }: Credential,
    tool: Tool | undefined,
    forwardedProof: ForwardedProof | undefined,
  ) {
    const proof = forwardedProof ? toPresentedProof(forwardedProof, tool) : presentation;
    return credentials.resolve(value, proof, tool?.url ? audienceOf(tool.url) : undefined);
  }

  /** Returns the spelling of the tool's URL that tokens carry in `aud`. */
  function audienceOf(url: string): string {
    return resources.find(url)?.identifier ?? url;
  }

  function fromCertificate(certificates: X509Certificate[]): Principal {
    const workload = credentials.resolveCertificate(certificates);
    if (!workload) throw unauthorized('no_auth', 'Pass on the credential of the request that you received.');
    return workload;
  }
}

/**
 * Converts a forwarded proof. The tool names the request that the proof is for. It must be a
 * request to this tool: otherwise, a tool could replay proofs that were sent to other services.
 */
function toPresentedProof({ proof, htm, htu }: ForwardedProof, tool: Tool | undefined): PresentedProof {
  if (!tool?.url || !isUnderToolUrl(htu, tool.url)) {
    const error = 'It must be below the registered URL of the tool. Name the tool in the request.';
    throw invalidRequest('The DPoP proof was not created for this tool.', { 'dpop.htu': error });
  }
  return { scheme: 'dpop', proof, method: htm, url: htu, isForwarded: true };
}

function isUnderToolUrl(url: string, toolUrl: string): boolean {
  const [proofUrl, ownUrl] = [URL.parse(url), URL.parse(toolUrl)];
  if (!proofUrl || !ownUrl || proofUrl.origin !== ownUrl.origin || proofUrl.username || proofUrl.password) return false;
  return proofUrl.pathname === ownUrl.pathname || proofUrl.pathname.startsWith(ownUrl.pathname.replace(/\/*$/, '/'));
}
