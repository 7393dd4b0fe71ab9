/** keys list, keys rotate, audit list, move. */
import { move } from '../base/db/copy.js';
import { AUDIT_ACTIONS } from '../core/audit/events.js';
import { limitErrors } from './accounts.js';
import { type Command, table } from './command.js';

/**
 * Stands for the setting of this name: it may hold a password, which does not belong on a command
 * line.
 */
const FROM_SETTINGS = 'DATABASE_URL';

export const operationCommands: Command[] = [
  {
    name: 'keys list',
    description: 'The signing keys and their stages, the newest first.',
    async run(_args, { open }) {
      const { core } = await open();
      const keys = await core.keys.list();
      return {
        json: keys.map(({ kid, algorithm, createdAt, signsFrom, retiredAt, expiresAt, signs }) => ({
          kid,
          algorithm,
          signs,
          created_at: createdAt,
          signs_from: signsFrom,
          retired_at: retiredAt,
          expires_at: expiresAt,
        })),
        text: table([
          ['KID', 'ALGORITHM', 'STAGE', 'SIGNS FROM', 'PUBLISHED UNTIL'],
          ...keys.map((key) => [
            key.kid,
            key.algorithm,
            stageOf(key),
            key.signsFrom.toISOString(),
            key.expiresAt?.toISOString() ?? '',
          ]),
        ]),
      };
    },
  },
  {
    name: 'keys rotate',
    description:
      'Begins a rotation. New keys are published now and sign in ten minutes; the old ones stay published as long as needed.',
    options: { now: { type: 'boolean', description: 'sign at once and withdraw the old keys: for a key that leaked' } },
    async run(args, { open }) {
      const { core } = await open();
      const kids = await core.keys.rotate({ atOnce: args.has('now') });
      return { json: { kids }, text: `New keys: ${kids.join(', ')}` };
    },
  },
  {
    name: 'audit list',
    description: 'What happened, the newest first.',
    options: {
      limit: { type: 'string', description: 'how many at most; 100 when not given' },
      action: { type: 'string', description: 'only this action, such as sign_in.failed' },
      account: { type: 'string', description: 'only what concerns this account (its id)' },
      client: { type: 'string', description: 'only what concerns this client (its id)' },
    },
    errors: (args) => [...limitErrors(args.text('limit')), ...actionErrors(args.text('action'))],
    async run(args, { open }) {
      const { core } = await open();
      const where = { action: args.text('action'), accountId: args.text('account'), clientId: args.text('client') };
      const events = await core.audit.list(where, Number(args.text('limit') ?? 100));
      return {
        json: events,
        text: table([
          ['AT', 'ACTION', 'ACTOR', 'ACCOUNT', 'CLIENT', 'ADDRESS'],
          ...events.map(({ at, action, actorKind, actorId, accountId, clientId, address }) => [
            at.toISOString(),
            action,
            actorId ? `${actorKind} ${actorId}` : actorKind,
            accountId ?? '',
            clientId ?? '',
            address ?? '',
          ]),
        ]),
      };
    },
  },
  {
    name: 'move',
    description:
      'Copies everything into an empty database. Stop the server first. An address is file:<path> or postgresql://…, ' +
      `without a password (use PGPASSWORD or ~/.pgpass); the word ${FROM_SETTINGS} stands for that setting.`,
    takes: ['from', 'to'],
    errors: (args) =>
      [args.at(0), args.at(1)]
        .filter((url) => url !== FROM_SETTINGS && URL.parse(url)?.password)
        .map(() => `A password does not belong on a command line: use ${FROM_SETTINGS}, PGPASSWORD or ~/.pgpass.`),
    async run(args, { config }) {
      const urlOf = (word: string) => (word === FROM_SETTINGS ? config().databaseUrl : word);
      const moved = await move(urlOf(args.at(0)), urlOf(args.at(1)));
      const filled = moved.filter(({ rows }) => rows > 0);
      return {
        json: moved,
        text: table([['MODEL', 'ROWS'], ...filled.map(({ model, rows }) => [model, String(rows)])]),
      };
    },
  },
];

type Staged = { signs: boolean; signsFrom: Date; retiredAt: Date | null; expiresAt: Date | null };

/** Where a key stands in its rotation. */
export function stageOf({ signs, signsFrom, retiredAt, expiresAt }: Staged, now = new Date()): string {
  if (signs) return 'signs';
  if (expiresAt && expiresAt <= now) return 'withdrawn';
  if (retiredAt && retiredAt <= now) return 'verifies';
  return signsFrom > now ? 'published' : 'verifies';
}

function actionErrors(action: string | undefined): string[] {
  if (action === undefined || (AUDIT_ACTIONS as readonly string[]).includes(action)) return [];
  return [`There is no action "${action}"; there are ${AUDIT_ACTIONS.join(', ')}.`];
}
