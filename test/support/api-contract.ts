// A client of the JSON API that validates each response against the server's OpenAPI document:
// status, headers, media type and body.

import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import ajvFormats from 'ajv-formats';

export interface ApiRequest {
  params?: Record<string, string>;
  query?: Record<string, string>;
  json?: unknown;
  form?: Record<string, string>;
  headers?: Record<string, string>;
  /** Sent unchanged, in place of `json`. */
  body?: string | Uint8Array;
}

export interface Operation {
  operationId: string;
  tags: string[];
  summary: string;
  security: Record<string, string[]>[];
  parameters?: { name: string; in: string }[];
  requestBody?: { required: boolean; content: Record<string, unknown> };
  responses: Record<string, { headers?: Record<string, unknown>; content: Record<string, { schema: object }> }>;
}

export interface OpenApi {
  openapi: string;
  info: { title: string; version: string };
  servers: { url: string }[];
  tags: { name: string }[];
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, Schema>; securitySchemes: Record<string, unknown> };
}

interface Schema {
  properties?: object;
  additionalProperties?: unknown;
}

/** A method and a path template, such as `POST /api/v1/auth/login`. */
export type OperationName = string;

export type ApiContract = Awaited<ReturnType<typeof readContract>>;

export async function readContract(origin: string) {
  const document = (await (await fetch(`${origin}/api/openapi.json`)).json()) as OpenApi;
  const operations = new Map<OperationName, Operation>();
  for (const [path, methods] of Object.entries(document.paths))
    for (const [method, operation] of Object.entries(methods))
      operations.set(`${method.toUpperCase()} ${path}`, operation);
  const validators = compile(document);
  return { document, operations, call };

  /** Sends a request, and throws if the document does not describe the response. */
  async function call(name: OperationName, { params = {}, query = {}, json, form, headers, body }: ApiRequest = {}) {
    const [method = '', template = ''] = name.split(' ');
    const path = template.replace(/\{(\w+)\}/g, (_, parameter: string) =>
      encodeURIComponent(params[parameter] ?? 'unknown'),
    );
    const content = body ?? (form ? new URLSearchParams(form) : json !== undefined ? JSON.stringify(json) : undefined);
    const search = new URLSearchParams(query).toString();
    const response = await fetch(`${origin}${path}${search && `?${search}`}`, {
      method,
      headers: { ...(json !== undefined && { 'content-type': 'application/json' }), ...headers },
      ...(content !== undefined && { body: content as BodyInit }),
    });
    const text = await response.text();
    const error = errorOf(name, response, text);
    if (error) throw new Error(`${name}, status ${response.status}: ${error}: ${text.slice(0, 1000)}`);
    return { status: response.status, headers: response.headers, body: JSON.parse(text) };
  }

  function errorOf(name: OperationName, response: Response, text: string): string | undefined {
    const documented = operations.get(name)?.responses[response.status];
    if (!documented) return 'the status is not documented';
    if (!response.headers.get('content-type')?.startsWith('application/json')) return 'the response is not JSON';
    const expected = Object.keys(documented.headers ?? {}).filter((header) => header !== 'Link'); // not on the last page
    const missing = expected.filter((header) => !response.headers.has(header));
    if (missing.length > 0) return `missing headers: ${missing}`;
    const validate = validators.get(`${name} ${response.status}`)!;
    return validate(JSON.parse(text))
      ? undefined
      : `the body differs from its schema: ${JSON.stringify(validate.errors)}`;
  }
}

/** Is stricter than the document: a response cannot have undocumented members. */
function compile(document: OpenApi): Map<string, ValidateFunction> {
  const ajv = new Ajv2020({ strict: false, allErrors: true });
  ajvFormats.default(ajv);
  ajv.addSchema(closed(document), 'api');
  const validators = new Map<string, ValidateFunction>();
  for (const [path, methods] of Object.entries(document.paths))
    for (const [method, { responses }] of Object.entries(methods))
      for (const status of Object.keys(responses)) {
        const at = ['paths', path, method, 'responses', status, 'content', 'application/json', 'schema'];
        const pointer = at.map((part) => part.replaceAll('~', '~0').replaceAll('/', '~1')).map(encodeURIComponent);
        validators.set(`${method.toUpperCase()} ${path} ${status}`, ajv.compile({ $ref: `api#/${pointer.join('/')}` }));
      }
  return validators;
}

function closed(document: OpenApi): OpenApi {
  return JSON.parse(JSON.stringify(document), (_key, value: unknown) => {
    const schema = value as Schema & { type?: unknown };
    const open = schema?.type === 'object' && schema.properties && schema.additionalProperties === undefined;
    return open ? { ...schema, additionalProperties: false } : value;
  });
}
