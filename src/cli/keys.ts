/** `signet keys …`: manages signing keys. */
import type { Command } from 'commander';
import { type Cli, table, withExamples } from './command.js';

/** Adds the commands for signing keys. */
export function addKeyCommands(program: Command, cli: Cli): void {
  const keys = program.command('keys').description('Manages signing keys.');

  const list = keys
    .command('list')
    .description('Lists signing keys and their stages, newest first.')
    .action(
      cli.action(async () => {
        const { core } = await cli.open();
        const allKeys = await core.keys.list();
        return {
          json: allKeys.map(({ kid, algorithm, createdAt, signsFrom, retiredAt, expiresAt, signs }) => ({
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
            ...allKeys.map((key) => [
              key.kid,
              key.algorithm,
              stageOf(key),
              key.signsFrom.toISOString(),
              key.expiresAt?.toISOString() ?? '',
            ]),
          ]),
        };
      }),
    );
  withExamples(list, 'keys list');

  const rotate = keys
    .command('rotate')
    .description(
      'Starts a key rotation. New keys are published now and start to sign after ten minutes. Old keys stay published until their tokens have expired.',
    )
    .summary('Starts a key rotation.')
    .option('--now', 'sign with the new keys immediately and withdraw the old ones, for example after a leak')
    .action(
      cli.action(async ({ now = false }: { now?: boolean }) => {
        const { core } = await cli.open();
        const kids = await core.keys.rotate({ atOnce: now });
        return { json: { kids }, text: `New keys: ${kids.join(', ')}` };
      }),
    );
  withExamples(rotate, 'keys rotate', 'keys rotate --now');
}

type KeyDates = { signs: boolean; signsFrom: Date; retiredAt: Date | null; expiresAt: Date | null };

/** Returns the stage of a key in its rotation: `published`, `signs`, `verifies` or `withdrawn`. */
export function stageOf({ signs, signsFrom, retiredAt, expiresAt }: KeyDates, now = new Date()): string {
  if (signs) return 'signs';
  if (expiresAt && expiresAt <= now) return 'withdrawn';
  if (retiredAt && retiredAt <= now) return 'verifies';
  return signsFrom > now ? 'published' : 'verifies';
}
