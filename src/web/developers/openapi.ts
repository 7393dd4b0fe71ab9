/**
 * Generates the OpenAPI 3.1 document of the JSON API from the endpoints and their zod schemas. A
 * schema with an id (`.meta({ id })`) is shared under that name.
 */
import { STATUS_CODES } from 'node:http';
import type { z } from 'zod';
import { ErrorBody } from '../endpoints/documented-errors.js';
import type { RegisteredEndpoint } from '../endpoints/endpoint.js';
import { documentedErrors, errorDescription } from './error-responses.js';
import { createSchemas, type Schemas } from './openapi-schemas.js';
import { tagOf, tagsOf } from './openapi-tags.js';

type Json = Record<string, unknown>;

export interface ApiDescription {
  issuer: string;
  brandName: string;
  version: string;
  endpoints: readonly RegisteredEndpoint[];
  cookieNames: { access: string; refresh: string; csrf: string; tools: string };
}

const LIMIT_HEADERS = {
  'RateLimit-Limit': 'Allowed requests per minute.',
  'RateLimit-Remaining': 'Remaining requests.',
  'RateLimit-Reset': 'Seconds until the limit resets.',
};
const ERROR = { $ref: '#/components/schemas/Error' };
const BEARER_CHALLENGE = 'The required authentication (RFC 6750, RFC 9728).';

/** Returns the OpenAPI document. */
export function describeApi({ issuer, brandName, version, endpoints, cookieNames }: ApiDescription): Json {
  const schemas = createSchemas();
  schemas.of(ErrorBody);
  const paths: Record<string, Json> = {};
  for (const endpoint of endpoints) {
    const path = endpoint.path.replace(/:(\w+)/g, '{$1}');
    paths[path] = { ...paths[path], [endpoint.method]: operation(endpoint, schemas) };
  }
  return {
    openapi: '3.1.1',
    info: { title: `${brandName} API`, version, description: introduction(cookieNames) },
    servers: [{ url: issuer }],
    tags: tagsOf(endpoints.map(({ path }) => path)),
    paths,
    components: { schemas: schemas.shared, headers: sharedHeaders(), securitySchemes: securitySchemes(cookieNames) },
  };
}

function operation(endpoint: RegisteredEndpoint, schemas: Schemas): Json {
  const { method, path, summary, description, body, form, response } = endpoint;
  const parameters = [...pathParameters(path), ...queryParameters(endpoint.query, schemas)];
  const isPaged = parameters.some(({ name }) => name === 'cursor');
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
        headers: headers(...Object.keys(LIMIT_HEADERS), ...(isPaged ? ['Link'] : [])),
        content: { 'application/json': { schema: schemas.of(schema) } },
      },
      ...errors(endpoint, schemas),
    },
  };
}

/** Returns the operation id: `PATCH /api/v1/auth/me/profile` → `patchAuthMeProfile`. */
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

/** Each entry is an alternative. An empty one means that no credential is required. */
function securityOf({ method, accepts, optional, documentedCredentials = [], cookieAuth }: RegisteredEndpoint): Json[] {
  const anonymous = accepts.length === 0 || optional ? [{}] : [];
  const isGuarded = method !== 'get' && cookieAuth.requiresCsrfToken;
  const byCookie = { [cookieAuth.scheme]: [], ...(isGuarded && { csrf: [] }) };
  const accepted = accepts.length > 0 ? [{ bearer: [] }, ...(accepts.includes('session') ? [byCookie] : [])] : [];
  const documented = documentedCredentials.map((scheme) => ({
    [scheme === 'cookie' ? cookieAuth.scheme : scheme]: [],
  }));
  return [...anonymous, ...accepted, ...documented];
}

function errors(endpoint: RegisteredEndpoint, schemas: Schemas): Json {
  const responses = [...documentedErrors(endpoint)].map(([status, codes]) => [
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
  return Object.fromEntries(responses);
}

function errorHeaders(status: number, { scope }: RegisteredEndpoint): Json {
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
    Link: { description: 'The URL of the next page, if there is one (RFC 8288).', schema: { type: 'string' } },
    'Retry-After': { description: 'Seconds to wait.', schema: { type: 'integer', minimum: 1 } },
    'WWW-Authenticate': { description: BEARER_CHALLENGE, schema: { type: 'string' } },
  };
}

function securitySchemes({ access, refresh, csrf, tools }: ApiDescription['cookieNames']): Json {
  return {
    bearer: {
      type: 'http',
      scheme: 'bearer',
      description: 'An access token for this API: of a session or of an OAuth client.',
    },
    cookie: { type: 'apiKey', in: 'cookie', name: access, description: 'The access token in a browser.' },
    toolsCookie: { type: 'apiKey', in: 'cookie', name: tools, description: 'The access token of `POST /api/login`.' },
    refreshCookie: { type: 'apiKey', in: 'cookie', name: refresh, description: 'The refresh token in a browser.' },
    csrf: {
      type: 'apiKey',
      in: 'header',
      name: 'X-CSRF-Token',
      description: `Required for changes with cookies: the value of the cookie \`${csrf}\`, which the login response also contains.`,
    },
  };
}

const introduction = ({ access, csrf }: ApiDescription['cookieNames']) =>
  `
Programs send a token: \`Authorization: Bearer <access_token>\`. Browser apps of this origin and of allowed origins use cookies. With
cookies, each change (\`POST\`, \`PUT\`, \`PATCH\`, \`DELETE\`) that uses the cookie \`${access}\` needs the value of \`${csrf}\` in the
header \`X-CSRF-Token\`. A credential in a header takes precedence over cookies.

Errors have the body \`{ error, error_description, request_id }\`, and \`fields\` for invalid values. Programs should check \`error\`;
\`error_description\` is for people. Include \`request_id\` when you contact support.

Optional members of a body can be \`null\`, which means the same as absent, unless described otherwise.

Responses include the remaining requests (\`RateLimit-*\`); a 429 response includes the time to wait (\`Retry-After\`).
`.trim();
