/** Names from earlier releases. They work for one release, with a warning. */

/** Current names by old names of settings. */
export const DEPRECATED_NAMES: Readonly<Record<string, string>> = {
  REFRESH_RETRY_WINDOW: 'REFRESH_TOKEN_REUSE_INTERVAL',
  REAP_UNUSED_CLIENTS: 'UNUSED_CLIENT_TTL',
  REAP_IDLE_CLIENTS: 'IDLE_CLIENT_TTL',
  CLIENT_DOCUMENTS: 'CLIENT_ID_METADATA_DOCUMENTS',
  FEDERATION_KEEP_TOKENS: 'FEDERATION_STORE_TOKENS',
};

/** The same for members of settings that hold JSON. */
export const DEPRECATED_MEMBERS: Readonly<Record<string, Record<string, string>>> = {
  OIDC_PROVIDERS: { vouches_for: 'email_domains' },
};

/** Returns an object whose old member names are replaced. A current name that is there is kept. */
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
