// Every query for several rows has a limit, or the number of rows is limited in another way.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

const SRC = new URL('../src/', import.meta.url).pathname;

/** Queries without `take`: the file, the model, their number, and what limits their rows. */
const LIMITED: [file: string, model: string, count: number, limit: string][] = [
  ['base/invalidation-bus/sqlite.ts', 'cacheVersion', 1, 'one row for each topic'],
  ['core/account-management/user-administration.ts', 'account', 1, 'administrators, whom administrators create'],
  ['core/accounts/one-time-tokens.ts', 'oneTimeToken', 1, 'setup links, one for each start until it is used'],
  ['core/agents/active-agents.ts', 'agent', 1, 'keys with the same random prefix'],
  ['core/agents/agents.ts', 'agent', 1, 'MAX_AGENTS of one account'],
  ['core/api-keys/api-keys.ts', 'apiKey', 1, 'keys with the same random prefix'],
  ['core/clients/unused-client-cleanup.ts', 'consent', 1, 'distinct clients of one page'],
  ['core/clients/unused-client-cleanup.ts', 'grant', 1, 'distinct clients of one page'],
  ['core/identities/identities.ts', 'federatedIdentity', 1, 'MAX_LINKED_IDENTITIES of one account'],
  ['core/identities/token-vault.ts', 'storedTokens', 2, 'MAX_LINKED_IDENTITIES of one account'],
  ['core/keys/keys.ts', 'signingKey', 2, 'keys until they expire'],
  ['core/oauth-storage/prisma/grant-store.ts', 'grant', 1, 'grants of one account; the server does not list them'],
  ['core/organizations/member-removal.ts', 'membership', 1, 'MAX_MEMBERSHIPS of one account'],
  ['core/organizations/organizations.ts', 'membership', 1, 'MAX_MEMBERSHIPS of one account'],
  ['core/resources/resources.ts', 'resource', 1, 'MAX_RESOURCES'],
  ['core/resources/resources.ts', 'tool', 1, 'MAX_TOOLS'],
  ['core/tools/permissions.ts', 'permission', 1, 'one row for each tool'],
  ['core/tools/tools.ts', 'tool', 1, 'MAX_TOOLS'],
];

/** Returns `file model` for each call of `findMany` without `take`. */
function unlimitedQueries(): string[] {
  const files = readdirSync(SRC, { recursive: true, encoding: 'utf8' });
  return files.filter((file) => file.endsWith('.ts') && !file.startsWith('generated/')).flatMap(unlimitedQueriesIn);
}

function unlimitedQueriesIn(file: string): string[] {
  const text = readFileSync(join(SRC, file), 'utf8');
  return [...text.matchAll(/(\w+)\.findMany\(/g)].flatMap(({ 0: { length }, 1: model, index }) => {
    const argument = argumentAt(text, index + length);
    return /\btake:/.test(argument) ? [] : [`${file} ${model}`];
  });
}

/** Returns the text up to the parenthesis that ends the arguments. */
function argumentAt(text: string, start: number): string {
  let depth = 1;
  let end = start;
  for (; depth > 0 && end < text.length; end += 1) depth += { '(': 1, ')': -1 }[text[end]!] ?? 0;
  return text.slice(start, end);
}

describe('queries for several rows', () => {
  it('have a limit, or another limit is known', () => {
    const known = LIMITED.flatMap(([file, model, count]) => Array<string>(count).fill(`${file} ${model}`));
    expect(unlimitedQueries().sort()).toEqual(known.sort());
  });
});
