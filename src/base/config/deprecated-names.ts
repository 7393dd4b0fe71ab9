/** Deprecated names of settings. They work for one release, with a warning. */

/** Current names of settings by their deprecated names. */
export const DEPRECATED_NAMES: Readonly<Record<string, string>> = {
  REFRESH_RETRY_WINDOW: 'REFRESH_TOKEN_REUSE_INTERVAL',
  REAP_UNUSED_CLIENTS: 'UNUSED_CLIENT_TTL',
  REAP_IDLE_CLIENTS: 'IDLE_CLIENT_TTL',
  CLIENT_DOCUMENTS: 'CLIENT_ID_METADATA_DOCUMENTS',
  FEDERATION_KEEP_TOKENS: 'FEDERATION_STORE_TOKENS',
};

/** Current names of JSON members by setting and deprecated name. */
export const DEPRECATED_MEMBERS: Readonly<Record<string, Record<string, string>>> = {
  OIDC_PROVIDERS: { vouches_for: 'email_domains' },
};

/**
 * Returns a copy with current member names. If both names are present, it keeps both, so that the
 * schema rejects the object.
 */
export function renameDeprecatedMembers(variable: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  const members = { ...value } as Record<string, unknown>;
  for (const [old, current] of Object.entries(DEPRECATED_MEMBERS[variable] ?? {})) {
    if (!(old in members) || current in members) continue;
    members[current] = members[old];
    delete members[old];
  }
  return members;
}
