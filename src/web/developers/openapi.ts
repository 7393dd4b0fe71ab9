/**
 * The OpenAPI 3.1 document of the JSON API, made from the route lines and their zod schemas: what
 * guards the API describes it. A schema with an id (`.meta({ id })`) is shared under that name.
 */
import { STATUS_CODES } from 'node:http';
import { z } from 'zod';
import { ErrorAnswer } from '../endpoints/documented-errors.js';
import type { EndpointAt } from '../endpoints/endpoint.js';
import { documentedErrors, errorDescription } from './error-responses.js';

type Json = Record<string, unknown>;

export interface Described {
  issuer: string;
  brandName: string;
  version: string;
  endpoints: readonly EndpointAt[];
  cookieNames: { access: string; refresh: string; csrf: string; tools: string };
}

/** Where an operation is filed: the first whose pattern fits. */
const TAGS: [name: string, description: string, paths: RegExp][] = [
  ['Sandbox', 'Made-up people for tests. Only there with `TEST_AUTH=true`.', /^\/api\/v1\/test-auth\//],
  ['Me', 'Who is signed in, and how they like it.', /^\/api\/v1\/auth\/me(\/|$)/],
  ['Logins', 'Where an account is signed in.', /^\/api\/v1\/auth\/sessions(\/|$)/],
  ['Links', 'Who an account is at providers elsewhere.', /^\/api\/v1\/auth\/(links(\/|$)|[\w-]+\/link$)/],
  ['Second factors', 'Codes of an authenticator app, and recovery codes.', /^\/api\/v1\/auth\/mfa\//],
  ['Approvals', 'What agents ask of people, and the answers.', /^\/api\/v1\/approvals(\/|$)/],
  [
    'Agents',
    'Programs that act for themselves, and what they may be given.',
    /^\/api\/v1\/(agents|capabilities)(\/|$)/,
  ],
  ['API keys', 'Secrets for scripts, each within bounds of its own.', /^\/api\/v1\/api-keys(\/|$)/],
  ['API resources', 'The APIs that apps can ask for tokens for.', /^\/api\/v1\/resources(\/|$)/],
  [
    'Organizations',
    'Whom accounts work for, with whom, and on what.',
    /^\/api\/v1\/(organizations|projects|invitations)(\/|$)/,
  ],
  ['Tools: signing in', 'Logins of people who keep and use tools.', /^\/api\/(login|logout|token|me|me\/password)$/],
  ['Tools: validation', 'What a tool asks about its visitors.', /^\/api\/validate$/],
  [
    'Tools: people and rights',
    'Who there is, and what they may where.',
    /^\/api\/(users|tools|permissions|keys)(\/|$)/,
  ],
  ['Signing in', 'Accounts, tokens and cookies of a login without a page.', /^\/api\/v1\/auth\//],
];
const OTHER_TAG = 'Other';
const LIMIT_HEADERS = {
  'RateLimit-Limit': 'Requests in a minute.',
  'RateLimit-Remaining': 'How many of them are left.',
  'RateLimit-Reset': 'Seconds until the minute is over.',
};
const ERROR = { $ref: '#/components/schemas/Error' };
const BEARER_CHALLENGE = 'How to come in (RFC 6750, RFC 9728).';

export function describeApi({ issuer, brandName, version, endpoints, cookieNames }: Described): Json {
  const schemas = createSchemas();
  schemas.of(ErrorAnswer);
  const paths: Record<string, Json> = {};
  for (const endpoint of endpoints) {
    const path = endpoint.path.replace(/:(\w+)/g, '{$1}');
    paths[path] = { ...paths[path], [endpoint.method]: operation(endpoint, schemas) };
  }
  return {
    openapi: '3.1.1',
    info: { title: `${brandName} API`, version, description: introduction(cookieNames) },
    servers: [{ url: issuer }],
    tags: tagsOf(endpoints),
    paths,
    components: { schemas: schemas.shared, headers: sharedHeaders(), securitySchemes: securitySchemes(cookieNames) },
  };
}

type Schemas = ReturnType<typeof createSchemas>;

function operation(endpoint: EndpointAt, schemas: Schemas): Json {
  const { method, path, summary, description, body, form, response } = endpoint;
  const parameters = [...pathParameters(path), ...queryParameters(endpoint.query, schemas)];
  const [status, schema] = response;
  return {
    operationId: operationId(method, path),
    tags: [tagOf(path)],
    summary,
    ...(description && { description }),
    ...(parameters.length > 0 && { parameters }),
    ...(body && { requestBody: requestBody(body, form === true, schemas) }),
    security: securityOf(endpoint),
    responses: {
      [status]: {
        description: STATUS_CODES[status],
        headers: headers(...Object.keys(LIMIT_HEADERS)),
        content: { 'application/json': { schema: schemas.of(schema) } },
      },
      ...errors(endpoint, schemas),
    },
  };
}

/** `PATCH /api/v1/auth/me/profile` → `patchAuthMeProfile`: it changes only when the path does. */
function operationId(method: string, path: string): string {
  const words = path.replace(/^\/api\/(v1\/)?/, '').split(/[^a-zA-Z0-9]+/);
  return method + words.map((word) => word.slice(0, 1).toUpperCase() + word.slice(1)).join('');
}

const pathParameters = (path: string): Json[] =>
  [...path.matchAll(/:(\w+)/g)].map(([, name]) => ({
    name,
    in: 'path',
    required: true,
    schema: { type: 'string' },
  }));

function queryParameters(query: z.ZodType | undefined, schemas: Schemas): Json[] {
  const { properties = {}, required = [] } = (query ? schemas.of(query) : {}) as z.core.JSONSchema.ObjectSchema;
  return Object.entries(properties).map(([name, schema]) => ({
    name,
    in: 'query',
    required: required.includes(name),
    schema,
  }));
}

function requestBody(body: z.ZodType, form: boolean, schemas: Schemas): Json {
  const content = { schema: schemas.of(body) };
  return {
    required: !body.safeParse({}).success,
    content: { 'application/json': content, ...(form && { 'application/x-www-form-urlencoded': content }) },
  };
}

/** Each entry is one way in; an empty one means that nothing is needed. */
function securityOf({ method, accepts, optional, documentedCredentials = [], browsers }: EndpointAt): Json[] {
  const nothing = accepts.length === 0 || optional ? [{}] : [];
  const isGuarded = method !== 'get' && browsers.hasCsrfToken;
  const byCookie = { [browsers.scheme]: [], ...(isGuarded && { csrf: [] }) };
  const accepted = accepts.length > 0 ? [{ bearer: [] }, ...(accepts.includes('login') ? [byCookie] : [])] : [];
  const carried = documentedCredentials.map((scheme) => ({ [scheme === 'cookie' ? browsers.scheme : scheme]: [] }));
  return [...nothing, ...accepted, ...carried];
}

function errors(endpoint: EndpointAt, schemas: Schemas): Json {
  const answers = [...documentedErrors(endpoint)].map(([status, codes]) => [
    status,
    {
      description: codes.map((code) => `- \`${code}\`: ${errorDescription(code)}`).join('\n'),
      headers: errorHeaders(status, endpoint),
      content: {
        'application/json': {
          schema: {
            ...(status === 401 && endpoint.unauthorized ? schemas.of(endpoint.unauthorized) : ERROR),
            properties: { error: { enum: codes } },
          },
        },
      },
    },
  ]);
  return Object.fromEntries(answers);
}

function errorHeaders(status: number, { scope }: EndpointAt): Json {
  const challenge = ['WWW-Authenticate'];
  const more =
    { 401: challenge, 403: scope ? challenge : [], 429: ['Retry-After'], 503: ['Retry-After'] }[status] ?? [];
  return headers(...Object.keys(LIMIT_HEADERS), ...more);
}

const headers = (...names: string[]): Json =>
  Object.fromEntries(names.map((name) => [name, { $ref: `#/components/headers/${name}` }]));

function sharedHeaders(): Json {
  const rateLimiter = Object.entries(LIMIT_HEADERS).map(([name, description]) => [
    name,
    { description, schema: { type: 'integer', minimum: 0 } },
  ]);
  return {
    ...Object.fromEntries(rateLimiter),
    'Retry-After': { description: 'Seconds to wait.', schema: { type: 'integer', minimum: 1 } },
    'WWW-Authenticate': { description: BEARER_CHALLENGE, schema: { type: 'string' } },
  };
}

function securitySchemes({ access, refresh, csrf, tools }: Described['cookieNames']): Json {
  return {
    bearer: {
      type: 'http',
      scheme: 'bearer',
      description: 'The `access_token` of a login, or of an app for this API.',
    },
    cookie: { type: 'apiKey', in: 'cookie', name: access, description: 'The access token of a browser.' },
    toolsCookie: { type: 'apiKey', in: 'cookie', name: tools, description: 'The same, of `POST /api/login`.' },
    refreshCookie: { type: 'apiKey', in: 'cookie', name: refresh, description: 'The refresh token of a browser.' },
    csrf: {
      type: 'apiKey',
      in: 'header',
      name: 'X-CSRF-Token',
      description: `With each change by cookie: the value of the cookie \`${csrf}\`, also in the answer of the login.`,
    },
  };
}

const tagOf = (path: string) => TAGS.find(([, , paths]) => paths.test(path))?.[0] ?? OTHER_TAG;

function tagsOf(endpoints: readonly EndpointAt[]): Json[] {
  const used = new Set(endpoints.map(({ path }) => tagOf(path)));
  const known = TAGS.map(([name, description]) => ({ name, description }));
  return [...known, { name: OTHER_TAG }].filter(({ name }) => used.has(name)).reverse();
}

/** Turns zod schemas into JSON Schema and keeps the shared ones apart. */
function createSchemas() {
  const shared: Json = {};
  return { of, shared };

  function of(schema: z.ZodType): Json {
    // As input: later releases may add a member to an answer, and whoever reads one must not
    // stumble over it.
    const { $schema: _dialect, $defs, ...rest } = z.toJSONSchema(schema, { io: 'input', override: leaveOutNoise });
    Object.assign(shared, moved($defs ?? {}));
    return moved(rest);
  }

  function moved(schema: object): Json {
    return JSON.parse(JSON.stringify(schema).replaceAll('"#/$defs/', '"#/components/schemas/'));
  }
}

/**
 * A format says what its pattern repeats in a hundred characters; and integers have no bounds but
 * those of JavaScript.
 */
function leaveOutNoise({ jsonSchema }: { jsonSchema: z.core.JSONSchema.BaseSchema }): void {
  if (jsonSchema.format) delete jsonSchema.pattern;
  if (jsonSchema.minimum === Number.MIN_SAFE_INTEGER) delete jsonSchema.minimum;
  if (jsonSchema.maximum === Number.MAX_SAFE_INTEGER) delete jsonSchema.maximum;
}

const introduction = ({ access, csrf }: Described['cookieNames']) =>
  `
Programs send a token: \`Authorization: Bearer <access_token>\`. Browser apps of this origin, and of the listed ones, are signed in by
cookies; each change (\`POST\`, \`PUT\`, \`PATCH\`, \`DELETE\`) by the cookie \`${access}\` needs the value of \`${csrf}\` in the header
\`X-CSRF-Token\`. Where a header carries a credential, cookies are not looked at.

Every refusal is \`{ error, error_description, request_id }\`, with \`fields\` where some values are malformed. A program branches on
\`error\`; the sentence is for people. \`request_id\` is what to tell whoever keeps this server.

A member of a body that may be left out may be \`null\` as well: it says the same, unless it is described otherwise.

Answers tell how many requests the minute still has (\`RateLimit-*\`); a 429 says when to come back (\`Retry-After\`).
`.trim();
