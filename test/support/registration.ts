// Dynamic client registration without an initial access token (RFC 7591).
import { REDIRECT_URI, type TestClient } from './relying-party.js';
import { sendJson, type Target, type TestResponse } from './request.js';

/** Registers a client. Returns it with its registration access token (RFC 7592). */
export async function registerDynamically(
  target: Target,
  metadata: object = {},
  headers: Record<string, string> = {},
): Promise<TestClient & { managementToken: string; metadata: Record<string, unknown> }> {
  const response = await requestRegistration(target, metadata, headers);
  if (response.status !== 201) throw new Error(`not registered: ${response.text}`);
  const { client_id: id, client_secret: secret = '', registration_access_token: managementToken } = response.json;
  return { id, secret, managementToken, metadata: response.json } as never;
}

/** Requests a registration, which may be rejected. */
export const requestRegistration = (
  target: Target,
  metadata: object,
  headers: Record<string, string> = {},
): Promise<TestResponse> =>
  sendJson(target, 'POST', '/oauth/clients/register', {
    body: { client_name: 'Test app', redirect_uris: [REDIRECT_URI], ...metadata },
    headers,
  });
