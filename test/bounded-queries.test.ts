// Every query for several rows has a limit, or the number of rows is limited in another way. Reads
// the syntax trees of the source.
import { readFileSync } from 'node:fs';
import {
  isCallExpression,
  isNoSubstitutionTemplateLiteral,
  isObjectLiteralExpression,
  isPropertyAccessExpression,
  isPropertyAssignment,
  isStringLiteral,
  isTemplateHead,
  type Node,
} from 'typescript/unstable/ast';
import { API } from 'typescript/unstable/sync';
import { afterAll, describe, expect, it } from 'vitest';

const ROOT = new URL('../', import.meta.url).pathname;

type Reason = [file: string, what: string, count: number, limit: string];

/** Calls of `findMany` without `take`: file, model, number, and what limits the rows. */
const QUERIES: Reason[] = [
  ['base/invalidation-bus/sqlite.ts', 'cacheVersion', 1, 'one row for each topic'],
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

/**
 * Relations with several rows that are loaded with their parents. `take` does not limit them: if
 * there are several parents, Prisma loads all rows and drops the others.
 */
const RELATIONS: Reason[] = [
  ['core/agents/active-agents.ts', 'memberships', 2, 'for one agent: MAX_MEMBERSHIPS of its owner, and one manager'],
  ['core/oauth-storage/prisma/consent-reader.ts', 'scopes', 1, 'a column of one consent'],
  ['core/resources/resources.ts', 'clients', 1, '1000 clients of an API'],
  ['core/resources/resources.ts', 'scopes', 1, '100 scopes of an API'],
  ['core/sessions/revocation.ts', 'clients', 1, 'apps of the sessions of one batch'],
];

/** SELECT statements on tables of the models, without LIMIT. */
const STATEMENTS: Reason[] = [
  ['core/oauth-storage/postgresql/consent-reader.ts', 'SELECT', 1, 'a unique key'],
  ['core/oauth-storage/postgresql/ephemeral-store.ts', 'SELECT', 1, 'a unique key'],
  ['core/oauth-storage/postgresql/grant-store.ts', 'SELECT', 1, 'a unique key'],
  ['core/oauth-storage/postgresql/refresh-token-store.ts', 'SELECT', 1, 'a unique key'],
];

/** The relations with several rows of all models. */
const relationNames = new Set(
  [...readFileSync(`${ROOT}prisma/schema.prisma`, 'utf8').matchAll(/^ {2}(\w+) +[A-Z]\w*\[\]/gm)].map(
    ([, name]) => name!,
  ),
);

describe('queries for several rows', () => {
  const api = new API({ cwd: ROOT });
  afterAll(() => api.close());
  const [project] = api.updateSnapshot({ openProject: `${ROOT}tsconfig.json` }).getProjects();
  const files = project!.rootFiles.filter((file) => !file.includes('/generated/'));

  /** Returns `file what` for each node for which `nameOf` returns a name. */
  function find(nameOf: (node: Node) => string | undefined): string[] {
    const found: string[] = [];
    for (const file of files) {
      const visit = (node: Node): void => {
        const name = nameOf(node);
        if (name !== undefined) found.push(`${file.slice(file.lastIndexOf('/src/') + '/src/'.length)} ${name}`);
        node.forEachChild(visit);
      };
      visit(project!.program.getSourceFile(file)!);
    }
    return found.sort();
  }

  const known = (reasons: Reason[]) =>
    reasons.flatMap(([file, what, count]) => Array<string>(count).fill(`${file} ${what}`)).sort();

  it('are found', () => {
    expect(files.length).toBeGreaterThan(200);
    expect(relationNames.size).toBeGreaterThan(15);
    expect(find((node) => (isFindMany(node) ? 'findMany' : undefined)).length).toBeGreaterThan(40);
  });

  it('have a limit, or another limit is known', () => {
    expect(find((node) => (isFindMany(node) && !isLimited(node) ? modelOf(node) : undefined))).toEqual(known(QUERIES));
  });

  it('load only relations whose rows are limited', () => {
    expect(find(loadedRelation)).toEqual(known(RELATIONS));
  });

  it('have a limit if they are written in SQL', () => {
    expect(find((node) => (isUnlimitedSelect(node) ? 'SELECT' : undefined))).toEqual(known(STATEMENTS));
  });
});

const isFindMany = (node: Node) => isPropertyAccessExpression(node) && node.name.text === 'findMany';

/** Reports whether `findMany` is called with an object that has `take`. */
function isLimited({ parent }: Node): boolean {
  const argument = isCallExpression(parent) ? parent.arguments[0] : undefined;
  return argument !== undefined && isObjectLiteralExpression(argument) && argument.properties.some(isNamed('take'));
}

/** Returns `model` for `tx.model.findMany`, and the whole expression for others. */
function modelOf(node: Node): string {
  if (!isPropertyAccessExpression(node)) return '';
  const { expression } = node;
  return isPropertyAccessExpression(expression) ? expression.name.text : expression.getText();
}

/** Returns the name of a relation that is a member of `include` or `select`. */
function loadedRelation(node: Node): string | undefined {
  if (!isPropertyAssignment(node) || !relationNames.has(node.name.getText())) return undefined;
  const isLoaded = isNamed('include')(node.parent.parent) || isNamed('select')(node.parent.parent);
  return isLoaded ? node.name.getText() : undefined;
}

function isNamed(name: string) {
  return (node: Node) => isPropertyAssignment(node) && node.name.getText() === name;
}

function isUnlimitedSelect(node: Node): boolean {
  const isText = isStringLiteral(node) || isNoSubstitutionTemplateLiteral(node) || isTemplateHead(node);
  return isText && /^\s*SELECT\b.*\bFROM "/s.test(node.text) && !/\bLIMIT\b/.test(node.parent.getText());
}
