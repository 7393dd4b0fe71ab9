// A local host of client ID metadata documents.
import { openHttpServer } from './http-server.js';

export interface ServedDocument {
  body?: unknown;
  status?: number;
  headers?: Record<string, string>;
  /** Delays the response until this settles. */
  after?: Promise<unknown>;
}

export type DocumentHost = Awaited<ReturnType<typeof openDocumentHost>>;

export async function openDocumentHost() {
  const served = new Map<string, ServedDocument>();
  const fetches = new Map<string, number>();
  const server = await openHttpServer(async (req, res) => {
    const path = req.url ?? '';
    fetches.set(path, (fetches.get(path) ?? 0) + 1);
    const found = served.get(path);
    await found?.after;
    if (!found) return res.writeHead(404).end();
    const { body, status = 200, headers = {} } = found;
    res.writeHead(status, { 'content-type': 'application/json', ...headers });
    return res.end(typeof body === 'string' ? body : JSON.stringify(body));
  });
  let documents = 0;

  return { ...server, serveClient, serve, timesFetched: (id: string) => fetches.get(new URL(id).pathname) ?? 0 };

  /** Serves a valid document with these changes. Returns its URL, which is the client ID. */
  function serveClient(changes: Record<string, unknown> = {}, rest: ServedDocument = {}): string {
    documents += 1;
    const id = `${server.origin}/apps/${documents}.json`;
    serve(id, changes, rest);
    return id;
  }

  function serve(id: string, changes: Record<string, unknown> = {}, rest: ServedDocument = {}): void {
    const body = {
      client_id: id,
      client_name: 'Notebook',
      redirect_uris: ['https://acme.example/cb'],
      grant_types: ['authorization_code', 'refresh_token'],
      token_endpoint_auth_method: 'none',
      ...changes,
    };
    served.set(new URL(id).pathname, { body, ...rest });
  }
}
