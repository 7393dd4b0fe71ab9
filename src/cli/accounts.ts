/** account create, account list, account link, account reset-factor, setup link. */
import { randomToken } from '../base/crypto.js';
import type { Account } from '../core/accounts/accounts.js';
import type { Core } from '../core/core.js';
import { systemMeta } from '../core/request-meta.js';
import { type Command, table } from './command.js';

const GENERATED_PASSWORD_BYTES = 15;

export const accountCommands: Command[] = [
  {
    name: 'account create',
    description: 'Makes an account. Its password is read from standard input, or made up and printed once.',
    options: {
      email: { type: 'string', description: 'its e-mail address', required: true },
      name: { type: 'string', description: "the person's name" },
      admin: { type: 'boolean', description: 'an administrator of this instance' },
      verified: { type: 'boolean', description: 'the e-mail address needs no proof' },
      'password-stdin': { type: 'boolean', description: 'read the password from standard input' },
    },
    async run(args, { open, input }) {
      const given = args.has('password-stdin') ? (await input()).replace(/\r?\n$/, '') : undefined;
      const password = given ?? randomToken(GENERATED_PASSWORD_BYTES);
      const { core } = await open();
      const account = await core.accounts.create(
        { email: args.text('email')!, name: args.text('name'), password },
        systemMeta,
        { role: args.has('admin') ? 'admin' : 'viewer', verified: args.has('verified') },
      );
      return {
        json: { ...serialize(account), ...(given === undefined && { password }) },
        text: table([
          ['id', account.id],
          ['email', account.email],
          ['role', account.role],
          ...(given === undefined ? [['password', `${password}  (shown this once)`]] : []),
        ]),
      };
    },
  },
  {
    name: 'account list',
    description: 'The newest accounts first.',
    options: { limit: { type: 'string', description: 'how many at most; 100 when not given' } },
    errors: (args) => limitErrors(args.text('limit')),
    async run(args, { open }) {
      const { core } = await open();
      const accounts = await core.accounts.list(Number(args.text('limit') ?? 100));
      return {
        json: accounts.map(serialize),
        text: table([
          ['ID', 'E-MAIL', 'NAME', 'ROLE', 'STATUS', 'MADE'],
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
    },
  },
  {
    name: 'account link',
    description: 'Says who somebody is at an issuer elsewhere: its tokens for that subject stand for the account.',
    options: {
      email: { type: 'string', description: 'the e-mail address of the account here', required: true },
      issuer: { type: 'string', description: 'the issuer, as its tokens write it', required: true },
      subject: { type: 'string', description: 'who the person is there: `sub`', required: true },
    },
    async run(args, { open }) {
      const { core } = await open();
      const [email, issuer, subject] = [args.text('email')!, args.text('issuer')!, args.text('subject')!];
      const account = await accountOf(core, email);
      await core.links.linkByAdmin(account, { issuer, subject });
      const json = { account_id: account.id, issuer, subject };
      return { json, text: `${subject} of ${issuer} is ${account.email} here.` };
    },
  },
  {
    name: 'account reset-factor',
    description: 'Removes a second factor that its person has lost, app and recovery codes, and ends all their logins.',
    takes: ['email'],
    async run(args, { open }) {
      const { core } = await open();
      const account = await accountOf(core, args.at(0));
      await core.mfa.removeLost(account);
      const text = `The password of ${account.email} is enough again, until they set up a new second factor.`;
      return { json: { id: account.id, email: account.email }, text };
    },
  },
  {
    name: 'setup link',
    description: 'A new link to make the first administrator with, beside those of the last starts.',
    async run(_args, { open, config }) {
      const { core } = await open();
      const token = await core.bootstrap.createToken();
      if (!token) throw new Error('There is an administrator already: no link is needed.');
      const link = `${config().issuer}/setup?token=${token}`;
      return { json: { link }, text: link };
    },
  },
];

async function accountOf({ accounts }: Pick<Core, 'accounts'>, email: string): Promise<Account> {
  const account = await accounts.findByEmail(email);
  if (!account) throw new Error(`There is no account with the address ${email}.`);
  return account;
}

export const limitErrors = (limit: string | undefined) =>
  limit === undefined || /^[1-9]\d{0,4}$/.test(limit) ? [] : ['--limit must be a whole number from 1 to 99999.'];

function serialize({ id, email, name, role, status, emailVerified, createdAt }: Account) {
  return { id, email, name, role, status, email_verified: emailVerified, created_at: createdAt };
}
