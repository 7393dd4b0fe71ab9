/**
 * What a tool asks at each request: who is behind this credential, and what may they here? Asked thousands of times a minute, so all of
 * it is remembered for a second; whatever ends a credential or a permission is told to every process at once.
 */
import { unauthenticated } from '../../base/errors.js';
import type { Credentials } from '../credentials/credentials.js';
import type { Presentation } from '../credentials/possession.js';
import type { Principal } from '../credentials/principal.js';
import type { Level } from './levels.js';
import type { Permissions } from './permissions.js';
import type { Tools } from './tools.js';

/** Whoever asks for tokens that tools may take needs this scope. */
export const VALIDATE_SCOPE = 'tools:validate';

export interface Validated {
  principal: Principal;
  /** Null when they may nothing there, or there is no such tool; undefined when no tool was named. */
  level: Level | null | undefined;
}

interface Needs {
  credentials: Pick<Credentials, 'resolve'>;
  tools: Pick<Tools, 'find'>;
  permissions: Pick<Permissions, 'levelOf'>;
}

export type Validate = ReturnType<typeof createValidate>;

/**
 * Any credential that is alive will do. An app's token must be for us or for that very tool, with the scope for it. Refuses with
 * `expired_token`, `invalid_token` or `insufficient_scope`, all of them 401.
 *
 * @param shown what came along with the credential: what a tool passes on of it is for this, too
 */
export function createValidate({ credentials, tools, permissions }: Needs) {
  return async function validate(credential: string, shown: Presentation, slug?: string): Promise<Validated> {
    const tool = slug === undefined ? undefined : await tools.find(slug);
    const principal = await credentials.resolve(credential, shown, tool?.url ?? undefined);
    if (principal.kind === 'oauth' && !principal.scopes.includes(VALIDATE_SCOPE)) {
      throw unauthenticated('insufficient_scope', `This token lacks the scope ${VALIDATE_SCOPE}.`);
    }
    if (slug === undefined) return { principal, level: undefined };
    return { principal, level: (tool && (await permissions.levelOf(principal, tool))) ?? null };
  };
}
