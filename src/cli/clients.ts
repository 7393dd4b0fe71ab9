/** client create, client list, client delete, client secret, client reap. */
import { readFileSync } from 'node:fs';
import type { Client } from '../core/clients/clients.js';
import { type ClientMetadata, WORKLOAD_AUTH_METHODS } from '../core/clients/metadata.js';
import { systemMeta } from '../core/request-meta.js';
import { limitErrors } from './accounts.js';
import { type Arguments, type Command, table } from './command.js';

const AUTH_METHODS = ['client_secret_basic', 'client_secret_post', 'private_key_jwt', 'tls_client_auth', 'none'];
const CERTIFICATE_NAMES = ['subject-dn', 'san-dns', 'san-uri'];
const PRIVATE_JWK_MEMBERS = ['d', 'p', 'q', 'k'];

export const clientCommands: Command[] = [
  {
    name: 'client create',
    description: 'Makes an OAuth client. Its secret is printed once.',
    options: {
      name: { type: 'string', description: 'what people read on the consent page', required: true },
      'redirect-uri': { type: 'string', description: 'where codes may be sent', multiple: true },
      public: { type: 'boolean', description: 'cannot keep a secret: a browser, phone or desktop app' },
      'first-party': { type: 'boolean', description: 'nobody is asked for consent' },
      'no-pkce': { type: 'boolean', description: 'for a confidential client that cannot do PKCE' },
      'grant-types': {
        type: 'string',
        description: 'separated by commas; authorization_code,refresh_token when not given',
      },
      'auth-method': { type: 'string', description: `one of ${AUTH_METHODS.join(', ')}` },
      scope: { type: 'string', description: 'the scopes that it may ask for, separated by spaces' },
      'post-logout-redirect-uri': { type: 'string', description: 'where to after signing out', multiple: true },
      'backchannel-logout-uri': { type: 'string', description: 'told when a login ends' },
      'jwks-file': { type: 'string', description: 'a file with its public keys (a JWK set)' },
      'jwks-uri': { type: 'string', description: 'where it publishes its public keys' },
      'subject-dn': {
        type: 'string',
        description: 'the subject of its certificate, for --auth-method tls_client_auth',
      },
      'san-dns': { type: 'string', description: 'or a host name in it' },
      'san-uri': { type: 'string', description: 'or a URI in it' },
      'certificate-bound': {
        type: 'boolean',
        description: 'its tokens are good only with the certificate that it showed',
      },
      'spiffe-id': {
        type: 'string',
        description: 'a workload: its client_id, proven by --auth-method spiffe_jwt or spiffe_x509',
      },
    },
    errors: createErrors,
    async run(args, { open }) {
      const metadata = toMetadata(args);
      const { core } = await open();
      const { client, secret } = await core.clients.create(
        { metadata, firstParty: args.has('first-party'), pkceRequired: !args.has('no-pkce') },
        systemMeta,
      );
      return {
        json: { ...serialize(client), ...(secret && { client_secret: secret }) },
        text: table([['client_id', client.id], ...(secret ? [['client_secret', `${secret}  (shown this once)`]] : [])]),
      };
    },
  },
  {
    name: 'client list',
    description: 'The newest clients first.',
    options: { limit: { type: 'string', description: 'how many at most; 100 when not given' } },
    errors: (args) => limitErrors(args.text('limit')),
    async run(args, { open }) {
      const { core } = await open();
      const clients = await core.clients.list(Number(args.text('limit') ?? 100));
      return {
        json: clients.map(serialize),
        text: table([
          ['CLIENT ID', 'NAME', 'FROM', 'KIND', 'MADE'],
          ...clients.map((client) => [
            client.id,
            client.name ?? '',
            client.origin,
            [client.secretHash ? 'confidential' : 'no secret', client.firstParty && 'first-party']
              .filter(Boolean)
              .join(', '),
            client.createdAt.toISOString(),
          ]),
        ]),
      };
    },
  },
  {
    name: 'client delete',
    description: 'Deletes a client with all that was granted to it. A running server refuses it within a second.',
    takes: ['client_id'],
    async run(args, { open }) {
      const { core } = await open();
      await core.clients.remove(args.at(0), systemMeta);
      return { json: { client_id: args.at(0), deleted: true }, text: `${args.at(0)} is deleted.` };
    },
  },
  {
    name: 'client secret',
    description: 'Gives a client another secret, printed once. The old one is refused from then on.',
    takes: ['client_id'],
    async run(args, { open }) {
      const { core } = await open();
      const secret = await core.clients.rotateSecret(args.at(0), systemMeta);
      return {
        json: { client_id: args.at(0), client_secret: secret },
        text: table([['client_secret', `${secret}  (shown this once)`]]),
      };
    },
  },
  {
    name: 'client reap',
    description:
      'Takes away clients that came by themselves and that nobody uses, as the server does by UNUSED_CLIENT_TTL and IDLE_CLIENT_TTL.',
    options: { 'dry-run': { type: 'boolean', description: 'only say which would go' } },
    async run(args, { open }) {
      const { core } = await open();
      const isDry = args.has('dry-run');
      const reaped = isDry ? await core.unusedClients.find() : await core.unusedClients.removeUnused();
      const rows = reaped.map(({ client, reason }) => [
        client.id,
        client.name ?? '',
        reason,
        client.createdAt.toISOString(),
        client.lastUsedAt?.toISOString() ?? 'never',
      ]);
      const count = `${reaped.length} ${isDry ? 'would go' : 'are gone'}.`;
      return {
        json: reaped.map(({ client, reason }) => ({
          client_id: client.id,
          client_name: client.name,
          reason,
          created_at: client.createdAt,
          last_used_at: client.lastUsedAt,
        })),
        text:
          rows.length === 0
            ? count
            : `${table([['CLIENT ID', 'NAME', 'WHY', 'MADE', 'LAST USED'], ...rows])}\n${count}`,
      };
    },
  },
];

function createErrors(args: Arguments): string[] {
  const method = args.text('auth-method');
  const hasKeys = args.has('jwks-file') || args.has('jwks-uri');
  const grants = grantTypesOf(args);
  const backchannel = args.text('backchannel-logout-uri');
  const errors: [boolean, string][] = [
    [
      method !== undefined && !(args.has('spiffe-id') ? WORKLOAD_AUTH_METHODS : AUTH_METHODS).includes(method),
      `--auth-method must be one of ${AUTH_METHODS.join(', ')}; with --spiffe-id ${WORKLOAD_AUTH_METHODS.join(' or ')}.`,
    ],
    [
      (method === 'tls_client_auth') !== (CERTIFICATE_NAMES.filter((name) => args.has(name)).length === 1),
      `--auth-method tls_client_auth needs one of ${CERTIFICATE_NAMES.map((name) => `--${name}`).join(', ')}, which are for it alone.`,
    ],
    [args.has('public') && method !== undefined && method !== 'none', '--public means --auth-method none.'],
    [isPublic(args) && args.has('no-pkce'), 'A public client cannot do without PKCE: leave out --no-pkce.'],
    [args.has('jwks-file') && args.has('jwks-uri'), 'Give --jwks-file or --jwks-uri, not both.'],
    [method === 'private_key_jwt' && !hasKeys, '--auth-method private_key_jwt needs --jwks-file or --jwks-uri.'],
    [
      grants.includes('authorization_code') && !args.has('redirect-uri'),
      '--redirect-uri is missing: the grant authorization_code needs one.',
    ],
    [backchannel !== undefined && !URL.canParse(backchannel), '--backchannel-logout-uri must be an absolute URL.'],
  ];
  const jwksFault = args.has('jwks-file') && jwksError(args.text('jwks-file')!);
  return [...errors.filter(([wrong]) => wrong).map(([, problem]) => problem), ...(jwksFault ? [jwksFault] : [])];
}

const usualMethod = (args: Arguments) => (args.has('spiffe-id') ? 'spiffe_jwt' : 'client_secret_basic');

const isPublic = (args: Arguments) => args.has('public') || args.text('auth-method') === 'none';

const grantTypesOf = (args: Arguments) =>
  (args.text('grant-types') ?? 'authorization_code,refresh_token').split(',').map((grant) => grant.trim());

function jwksError(path: string): string | undefined {
  try {
    const { keys } = readJwks(path);
    if (!Array.isArray(keys) || keys.length === 0) return `${path} holds no JWK set: {"keys":[…]}.`;
    const isPrivate = keys.some((key) => PRIVATE_JWK_MEMBERS.some((member) => key?.[member] !== undefined));
    return isPrivate ? `${path} holds private keys: give the public ones only.` : undefined;
  } catch (error) {
    return `--jwks-file cannot be read: ${(error as Error).message}.`;
  }
}

function readJwks(path: string): { keys?: Record<string, unknown>[] } {
  return JSON.parse(readFileSync(path, 'utf8'));
}

function toMetadata(args: Arguments): ClientMetadata {
  const postLogout = args.list('post-logout-redirect-uri');
  return {
    client_name: args.text('name'),
    ...(args.has('redirect-uri') && { redirect_uris: args.list('redirect-uri') }),
    grant_types: grantTypesOf(args),
    token_endpoint_auth_method: isPublic(args) ? 'none' : (args.text('auth-method') ?? usualMethod(args)),
    ...(args.has('scope') && { scope: args.text('scope') }),
    ...(postLogout.length > 0 && { post_logout_redirect_uris: postLogout }),
    ...(args.has('backchannel-logout-uri') && { backchannel_logout_uri: args.text('backchannel-logout-uri') }),
    ...(args.has('jwks-file') && { jwks: readJwks(args.text('jwks-file')!) }),
    ...(args.has('jwks-uri') && { jwks_uri: args.text('jwks-uri') }),
    ...(args.has('subject-dn') && { tls_client_auth_subject_dn: args.text('subject-dn') }),
    ...(args.has('san-dns') && { tls_client_auth_san_dns: args.text('san-dns') }),
    ...(args.has('san-uri') && { tls_client_auth_san_uri: args.text('san-uri') }),
    ...(args.has('certificate-bound') && { tls_client_certificate_bound_access_tokens: true }),
    ...(args.has('spiffe-id') && { spiffe_id: args.text('spiffe-id') }),
  };
}

function serialize({ id, name, origin, firstParty, pkceRequired, metadata, createdAt }: Client) {
  return {
    client_id: id,
    client_name: name,
    origin,
    first_party: firstParty,
    pkce_required: pkceRequired,
    created_at: createdAt,
    metadata,
  };
}
