/** `signet client create`. */
import { readFileSync } from 'node:fs';
import { type Command, Option } from 'commander';
import { systemMeta } from '../base/request-meta.js';
import type { Client } from '../core/clients/clients.js';
import { type ClientMetadata, WORKLOAD_AUTH_METHODS } from '../core/clients/metadata.js';
import { type Cli, collect, table, throwUsageErrors, withExamples } from './command.js';

const AUTH_METHODS = ['client_secret_basic', 'client_secret_post', 'private_key_jwt', 'tls_client_auth', 'none'];
const CERTIFICATE_OPTIONS = ['subjectDn', 'sanDns', 'sanUri'] as const;
const PRIVATE_JWK_MEMBERS = ['d', 'p', 'q', 'k'];

interface CreateOptions {
  name: string;
  redirectUri: string[];
  public?: boolean;
  firstParty?: boolean;
  pkce: boolean;
  grantTypes: string[];
  authMethod?: string;
  scope?: string;
  postLogoutRedirectUri: string[];
  backchannelLogoutUri?: string;
  jwksFile?: string;
  jwksUri?: string;
  subjectDn?: string;
  sanDns?: string;
  sanUri?: string;
  certificateBound?: boolean;
  spiffeId?: string;
}

/** Adds `signet client create`. */
export function addClientCreate(client: Command, cli: Cli, serialize: (client: Client) => object): void {
  const splitGrantTypes = (text: string) => text.split(',').map((grantType) => grantType.trim());
  const command = client
    .command('create')
    .description('Creates an OAuth client. Its secret is printed once.')
    .requiredOption('--name <name>', 'name shown on the consent page (required)')
    .option('--redirect-uri <uri>', 'redirect URI (repeatable)', collect, [])
    .option('--public', 'public client that cannot keep a secret: a browser, mobile or desktop app')
    .option('--first-party', 'skip the consent page')
    .option('--no-pkce', 'do not require PKCE; only for confidential clients that do not support it')
    .option('--grant-types <types>', 'grant types, separated by commas', splitGrantTypes, [
      'authorization_code',
      'refresh_token',
    ])
    .addOption(
      new Option('--auth-method <method>', 'token endpoint authentication method').choices([
        ...AUTH_METHODS,
        ...WORKLOAD_AUTH_METHODS,
      ]),
    )
    .option('--scope <scopes>', 'scopes that it can request, separated by spaces')
    .option('--post-logout-redirect-uri <uri>', 'redirect URI after sign-out (repeatable)', collect, [])
    .option('--backchannel-logout-uri <url>', 'URL that receives logout tokens')
    .addOption(new Option('--jwks-file <path>', 'file with its public keys (JWK set)').conflicts('jwksUri'))
    .option('--jwks-uri <url>', 'URL of its public keys')
    .option('--subject-dn <dn>', 'subject of its certificate, for --auth-method tls_client_auth')
    .option('--san-dns <name>', 'DNS name in its certificate, instead of --subject-dn')
    .option('--san-uri <uri>', 'URI in its certificate, instead of --subject-dn')
    .option('--certificate-bound', 'bind its access tokens to its certificate (RFC 8705)')
    .option('--spiffe-id <uri>', 'SPIFFE ID of a workload, which becomes its client_id')
    .action(
      cli.action(async (options: CreateOptions) => {
        throwUsageErrors(checkOptions(options));
        const { core } = await cli.open();
        const { client: created, secret } = await core.clients.create(
          { metadata: toMetadata(options), firstParty: options.firstParty ?? false, pkceRequired: options.pkce },
          systemMeta,
        );
        return {
          json: { ...serialize(created), ...(secret && { client_secret: secret }) },
          text: table([['client_id', created.id], ...(secret ? [['client_secret', `${secret}  (shown once)`]] : [])]),
        };
      }),
    );
  withExamples(
    command,
    'client create --name Acme --redirect-uri https://acme.example/callback',
    'client create --name Phone --public --redirect-uri com.acme.app:/callback',
    'client create --name CI --grant-types client_credentials',
  );
}

/** Returns a message for each contradiction between the options. */
function checkOptions(options: CreateOptions): (string | false | undefined)[] {
  const { authMethod, spiffeId, jwksFile, jwksUri, redirectUri, grantTypes, backchannelLogoutUri } = options;
  const methods = spiffeId ? WORKLOAD_AUTH_METHODS : AUTH_METHODS;
  const certificateNames = CERTIFICATE_OPTIONS.filter((name) => options[name]);
  return [
    authMethod !== undefined &&
      !methods.includes(authMethod) &&
      `--auth-method ${authMethod} is for clients ${spiffeId ? 'without' : 'with'} --spiffe-id`,
    (authMethod === 'tls_client_auth') !== (certificateNames.length === 1) &&
      '--auth-method tls_client_auth needs exactly one of --subject-dn, --san-dns and --san-uri; other methods allow none',
    options.public && authMethod !== undefined && authMethod !== 'none' && '--public requires --auth-method none',
    isPublic(options) && !options.pkce && 'a public client must use PKCE: remove --no-pkce',
    authMethod === 'private_key_jwt' && !jwksFile && !jwksUri && 'private_key_jwt needs --jwks-file or --jwks-uri',
    grantTypes.includes('authorization_code') &&
      redirectUri.length === 0 &&
      '--redirect-uri is missing: the grant type authorization_code needs one',
    backchannelLogoutUri !== undefined &&
      !URL.canParse(backchannelLogoutUri) &&
      '--backchannel-logout-uri must be an absolute URL',
    jwksFile !== undefined && checkJwksFile(jwksFile),
  ];
}

const isPublic = (options: CreateOptions) => options.public || options.authMethod === 'none';

/** Returns a message if the file has no public keys, or has private ones. */
function checkJwksFile(path: string): string | undefined {
  try {
    const { keys } = readJwks(path);
    if (!Array.isArray(keys) || keys.length === 0) return `${path} is not a JWK set: {"keys":[…]}`;
    const isPrivate = keys.some((key) => PRIVATE_JWK_MEMBERS.some((member) => key?.[member] !== undefined));
    return isPrivate ? `${path} contains private keys: provide only the public keys` : undefined;
  } catch (error) {
    return `--jwks-file cannot be read: ${(error as Error).message}`;
  }
}

function readJwks(path: string): { keys?: Record<string, unknown>[] } {
  return JSON.parse(readFileSync(path, 'utf8'));
}

function toMetadata(options: CreateOptions): ClientMetadata {
  const { redirectUri, postLogoutRedirectUri, spiffeId } = options;
  const defaultMethod = spiffeId ? 'spiffe_jwt' : 'client_secret_basic';
  return {
    client_name: options.name,
    ...(redirectUri.length > 0 && { redirect_uris: redirectUri }),
    grant_types: options.grantTypes,
    token_endpoint_auth_method: isPublic(options) ? 'none' : (options.authMethod ?? defaultMethod),
    ...(options.scope && { scope: options.scope }),
    ...(postLogoutRedirectUri.length > 0 && { post_logout_redirect_uris: postLogoutRedirectUri }),
    ...(options.backchannelLogoutUri && { backchannel_logout_uri: options.backchannelLogoutUri }),
    ...(options.jwksFile && { jwks: readJwks(options.jwksFile) }),
    ...(options.jwksUri && { jwks_uri: options.jwksUri }),
    ...(options.subjectDn && { tls_client_auth_subject_dn: options.subjectDn }),
    ...(options.sanDns && { tls_client_auth_san_dns: options.sanDns }),
    ...(options.sanUri && { tls_client_auth_san_uri: options.sanUri }),
    ...(options.certificateBound && { tls_client_certificate_bound_access_tokens: true }),
    ...(spiffeId && { spiffe_id: spiffeId }),
  };
}
