/** Scopes of APIs, and those of Signet's own API. */
import type { ScopePreset } from '../../base/config/scope-preset.js';

/** Scopes of OpenID Connect. The scopes of APIs belong to their resources. */
export const OPENID_SCOPES = ['openid', 'offline_access', 'profile', 'email', 'phone', 'address'];

/** A permission at an API: its name in `scope`, and its description for users. */
export interface Scope {
  name: string;
  /** One sentence, shown when a user is asked for consent. */
  description: string;
  /** Whether requests without `scope` include it. */
  byDefault: boolean;
  /** Whether it can be granted to an agent. */
  capability: boolean;
}

/**
 * Full access. Only an administrator of an organization can grant it, and only to an agent of that
 * organization. Clients cannot request it.
 */
export const ADMIN_CAPABILITY = 'admin';
const ADMIN: Scope = {
  name: ADMIN_CAPABILITY,
  description: 'Do everything. Only for agents that you trust as yourself.',
  byDefault: false,
  capability: true,
};

/** The scope that a token needs so that a tool can validate it. */
export const VALIDATE_SCOPE = 'tools:validate';
export const VALIDATE: Scope = {
  name: VALIDATE_SCOPE,
  description: 'Let tools see who you are, and what you can do in them.',
  byDefault: false,
  capability: false,
};

/** Returns the scopes of Signet's own API, in the order in which discovery lists them. */
export function ownScopes({ scopes, capabilities }: ScopePreset): Scope[] {
  const toScopes = (names: Record<string, string>, flags: Pick<Scope, 'byDefault' | 'capability'>) =>
    Object.entries(names).map(([name, description]) => ({ name, description, ...flags }));
  return [
    ...toScopes(scopes, { byDefault: true, capability: false }),
    VALIDATE,
    ...toScopes(capabilities, { byDefault: false, capability: true }),
    ADMIN,
  ];
}

/** Reports whether clients can request the scope: all but `admin`, which is for agents only. */
export const isForClients = ({ name, capability }: Scope) => !(capability && name === ADMIN_CAPABILITY);
