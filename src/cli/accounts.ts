/** `signet account …` and `signet setup link`. */
import type { Command } from 'commander';
import { randomToken } from '../base/crypto.js';
import { systemMeta } from '../base/request-meta.js';
import type { Account } from '../core/accounts/accounts.js';
import type { Core } from '../core/core.js';
import { type Cli, parseLimit, table, withExamples } from './command.js';
import { addAccountImport } from './import-accounts.js';

const GENERATED_PASSWORD_BYTES = 15;

interface CreateOptions {
  email: string;
  name?: string;
  admin?: boolean;
  verified?: boolean;
  passwordStdin?: boolean;
}

/** Adds the commands for accounts and for the setup link. */
export function addAccountCommands(program: Command, cli: Cli): void {
  const account = program.command('account').description('Manages accounts.');

  const create = account
    .command('create')
    .description('Creates an account. Its password is read from standard input, or generated and printed once.')
    .summary('Creates an account.')
    .requiredOption('--email <address>', 'e-mail address (required)')
    .option('--name <name>', 'full name')
    .option('--admin', 'make it an administrator of this installation')
    .option('--verified', 'mark the e-mail address as verified')
    .option('--password-stdin', 'read the password from standard input')
    .action(
      cli.action(async ({ email, name, admin = false, verified = false, passwordStdin }: CreateOptions) => {
        const chosenPassword = passwordStdin ? (await cli.readStdin()).replace(/\r?\n$/, '') : undefined;
        const password = chosenPassword ?? randomToken(GENERATED_PASSWORD_BYTES);
        const { core } = await cli.open();
        const created = await core.accounts.create({ email, name, password }, systemMeta, {
          role: admin ? 'admin' : 'viewer',
          verified,
        });
        return {
          json: { ...serialize(created), ...(chosenPassword === undefined && { password }) },
          text: table([
            ['id', created.id],
            ['email', created.email],
            ['role', created.role],
            ...(chosenPassword === undefined ? [['password', `${password}  (shown once)`]] : []),
          ]),
        };
      }),
    );
  withExamples(
    create,
    'account create --email ann@example.com --admin',
    'account create --email bob@example.com --verified --password-stdin < password.txt',
  );

  const list = account
    .command('list')
    .description('Lists accounts, newest first.')
    .option('--limit <number>', 'maximum number of accounts', parseLimit, 100)
    .action(
      cli.action(async ({ limit }: { limit: number }) => {
        const { core } = await cli.open();
        const accounts = await core.accounts.list(limit);
        return {
          json: accounts.map(serialize),
          text: table([
            ['ID', 'E-MAIL', 'NAME', 'ROLE', 'STATUS', 'CREATED'],
            ...accounts.map(({ id, email, name, role, status, createdAt }) => [
              id,
              email,
              name ?? '',
              role,
              status,
              createdAt.toISOString(),
            ]),
          ]),
        };
      }),
    );
  withExamples(list, 'account list --limit 20', 'account list --json');

  const link = account
    .command('link')
    .description(
      'Links an account to an external issuer and subject. Tokens with this issuer and subject then authenticate the account.',
    )
    .summary('Links an account to an external issuer and subject.')
    .requiredOption('--email <address>', 'e-mail address of the account (required)')
    .requiredOption('--issuer <issuer>', 'issuer, as in the `iss` claim of its tokens (required)')
    .requiredOption('--subject <subject>', 'the `sub` claim of the user (required)')
    .action(
      cli.action(async ({ email, issuer, subject }: { email: string; issuer: string; subject: string }) => {
        const { core } = await cli.open();
        const target = await requireAccount(core, email);
        await core.links.linkByAdmin(target, { issuer, subject });
        const json = { account_id: target.id, issuer, subject };
        return { json, text: `${target.email} is linked to ${subject} at ${issuer}.` };
      }),
    );
  withExamples(link, 'account link --email ann@example.com --issuer https://idp.example.com --subject 248289761001');

  const resetMfa = account
    .command('reset-mfa')
    .argument('<email>', 'e-mail address of the account')
    .description('Removes the second factor and the recovery codes of an account, and revokes all its sessions.')
    .summary('Removes a lost second factor.')
    .action(
      cli.action(async (email: string) => {
        const { core } = await cli.open();
        const target = await requireAccount(core, email);
        await core.mfa.removeLost(target);
        const text = `${target.email} can sign in with the password alone until a new second factor is set up.`;
        return { json: { id: target.id, email: target.email }, text };
      }),
    );
  withExamples(resetMfa, 'account reset-mfa ann@example.com');

  addAccountImport(account, cli);

  const setupLink = program
    .command('setup')
    .description('Sets up a new installation.')
    .command('link')
    .description('Prints another link to create the first administrator. Earlier links stay valid.')
    .summary('Prints a link to create the first administrator.')
    .action(
      cli.action(async () => {
        const { core } = await cli.open();
        const token = await core.bootstrap.createToken();
        if (!token) throw new Error('An administrator exists already, so no setup link is needed.');
        const url = `${cli.config().issuer}/setup?token=${token}`;
        return { json: { link: url }, text: url };
      }),
    );
  withExamples(setupLink, 'setup link');
}

async function requireAccount({ accounts }: Pick<Core, 'accounts'>, email: string): Promise<Account> {
  const account = await accounts.findByEmail(email);
  if (!account) throw new Error(`No account has the e-mail address ${email}.`);
  return account;
}

function serialize({ id, email, name, role, status, emailVerified, createdAt }: Account) {
  return { id, email, name, role, status, email_verified: emailVerified, created_at: createdAt };
}
