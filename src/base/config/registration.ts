/** Settings of registration: who can register clients and agents, and when unused ones expire. */
import { isHost } from '../host.js';
import { defineTopic } from './base-config.js';
import { readScopePreset } from './scope-preset.js';
import { duration, integer, list, oneOf, optional, parsed, secret } from './setting.js';

const MIN_TOKEN_LENGTH = 32;
const UNUSED_CLIENTS_RANGE: [number, number] = [1, 1_000_000];
/** The syntax of a bearer token in an Authorization header (RFC 6750, section 2.1). */
const BEARER_TOKEN = /^[\w.~+/-]{32,}=*$/;

export const registration = defineTopic({
  title: 'Registration of clients and agents',
  settings: {
    registration: oneOf(
      'REGISTRATION',
      ['open', 'token', 'closed'],
      'open',
      'Who can register OAuth clients (RFC 7591). open: any visitor can register an app that asks users for access.',
    ),
    registrationToken: secret(
      'REGISTRATION_TOKEN',
      'Initial access token for REGISTRATION=token, at least 32 characters.',
    ),
    clientDocuments: oneOf(
      'CLIENT_ID_METADATA_DOCUMENTS',
      ['auto', 'on', 'off'],
      'auto',
      'Whether a client_id can be the URL of a client metadata document: any website can ask users for access. auto: only with REGISTRATION=open.',
    ),
    unusedClientSeconds: duration(
      'UNUSED_CLIENT_TTL',
      '7d',
      'Age at which a dynamically registered client is deleted if no user ever signed in with it. 0s: never.',
      { zero: true },
    ),
    idleClientSeconds: duration(
      'IDLE_CLIENT_TTL',
      '90d',
      'Time without use after which a dynamically registered client without active grants is deleted. 0s: never.',
      { zero: true },
    ),
    maxUnusedClientsPerNetwork: integer(
      'MAX_UNUSED_CLIENTS_PER_NETWORK',
      UNUSED_CLIENTS_RANGE,
      500,
      'Dynamically registered clients of one network (IPv4 address or IPv6 /48) with which no user has signed in. A further registration deletes the oldest of them, if it is older than an hour.',
    ),
    maxUnusedClients: integer('MAX_UNUSED_CLIENTS', UNUSED_CLIENTS_RANGE, 20_000, 'The same for the whole instance.'),
    redirectHosts: list(
      'REDIRECT_HOSTS',
      'If set, the only hosts allowed in redirect URIs of registered clients. *.example.com matches all subdomains.',
    ),
    defaultResource: optional(
      'DEFAULT_RESOURCE',
      'Audience of requests without `resource` (RFC 8707) that ask for scopes of this registered API.',
    ),
    scopePreset: parsed(readScopePreset, {
      variable: 'SCOPE_PRESET',
      description:
        'File with the scopes and agent capabilities of our own API. Default: presets/default.json. none: no preset.',
      type: 'the path of a JSON file, or none',
    }),
    agentOnboarding: oneOf(
      'AGENT_ONBOARDING',
      ['open', 'token', 'closed'],
      'open',
      'Who can onboard agents. open: any visitor can create an agent with an API key. Administrators of an organization can always onboard agents into it.',
    ),
    agentOnboardingToken: secret(
      'AGENT_ONBOARDING_TOKEN',
      'Bearer token for AGENT_ONBOARDING=token, at least 32 characters.',
    ),
  },
  resolve: ({ clientDocuments, ...values }) => ({
    ...values,
    clientDocuments: clientDocuments === 'auto' ? values.registration === 'open' : clientDocuments === 'on',
  }),
  check: (values) => [
    values.registration === 'token' && checkToken('REGISTRATION', values.registrationToken),
    values.agentOnboarding === 'token' && checkToken('AGENT_ONBOARDING', values.agentOnboardingToken),
    values.defaultResource !== undefined &&
      !URL.canParse(values.defaultResource) &&
      'DEFAULT_RESOURCE is not an absolute URI; allowed: the identifier of a registered API, such as https://api.example.com/v1',
    ...values.redirectHosts.map(
      (host) =>
        !isHost(host.replace(/^\*\./, '')) &&
        `REDIRECT_HOSTS contains "${host}"; allowed: hosts such as app.example.com or *.example.com, in lower case`,
    ),
  ],
});

const checkToken = (variable: string, token: string | undefined) =>
  !BEARER_TOKEN.test(token ?? '') &&
  `${variable}_TOKEN must have at least ${MIN_TOKEN_LENGTH} characters when ${variable}=token: letters, digits and -._~+/=`;
