/**
 * What a tool asks at each request: who is behind this credential, and what may they here? Asked
 * thousands of times a minute, so all of it is remembered for a second; whatever ends a credential
 * or a permission is told to every process at once.
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
  /**
   * Null when they may nothing there, or there is no such tool; undefined when no tool was named.
   */
  level: Level | null | undefined;
}

interface Deps {
  credentials: Pick<Credentials, 'resolve' | 'resolveCertificate'>;
  tools: Pick<Tools, 'find'>;
  permissions: Pick<Permissions, 'levelOf'>;
  resources: Pick<Resources, 'find'>;
}

/** Somebody who shows nothing but a certificate. */
export interface CertificateCredential {
  certificates: X509Certificate[];
}

/** The proof that a visitor sent to the tool, and for which request (RFC 9449). */
export interface ForwardedProof {
  proof: string;
  htm: string;
  htu: string;
}

/** What came in a header or a cookie, and what came along with it. */
export interface Credential {
  value: string;
  presentation: PresentedProof;
}

export type Validate = ReturnType<typeof createValidate>;

/**
 * Any credential that is alive will do. A token of an app, or one that an agent asked for, must be
 * for us or for that very tool, with the scope for it. Refuses with `expired_token`,
 * `invalid_token` or `insufficient_scope`, all of them 401.
 */
export function createValidate({ credentials, tools, permissions, resources }: Deps) {
  return async function validate(
    presented: Credential | CertificateCredential,
    slug?: string,
    forwarded?: ForwardedProof,
  ): Promise<Validated> {
    const tool = slug === undefined ? undefined : await tools.find(slug);
    const principal =
      'value' in presented ? await fromCredential(presented, tool, forwarded) : fromCertificate(presented.certificates);
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
    forwarded: ForwardedProof | undefined,
  ) {
    const authenticated = forwarded ? toPresented(forwarded, tool) : presentation;
    return credentials.resolve(value, authenticated, tool?.url ? audienceOf(tool.url) : undefined);
  }

  /**
   * Whoever registered the tool's URL as an API may have spelt it otherwise: that spelling is in
   * the tokens.
   */
  function audienceOf(url: string): string {
    return resources.find(url)?.identifier ?? url;
  }

  function fromCertificate(certificates: X509Certificate[]): Principal {
    const workload = credentials.resolveCertificate(certificates);
    if (!workload) throw unauthorized('no_auth', 'Pass on the credential of whoever asks you.');
    return workload;
  }
}

/**
 * A tool says for which request a proof was made: that must be one to itself, or it could pass on
 * those that others were sent.
 */
function toPresented({ proof, htm, htu }: ForwardedProof, tool: Tool | undefined): PresentedProof {
  if (!tool?.url || !isUnderToolUrl(htu, tool.url)) {
    const error = 'It must lie under the URL with which the tool is registered; name the tool.';
    throw invalidRequest('The proof was not made for this tool.', { 'dpop.htu': error });
  }
  return { scheme: 'dpop', proof, method: htm, url: htu, isForwarded: true };
}

function isUnderToolUrl(address: string, base: string): boolean {
  const [asked, own] = [URL.parse(address), URL.parse(base)];
  if (!asked || !own || asked.origin !== own.origin || asked.username || asked.password) return false;
  return asked.pathname === own.pathname || asked.pathname.startsWith(own.pathname.replace(/\/*$/, '/'));
}
