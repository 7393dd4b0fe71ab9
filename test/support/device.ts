// The device authorization grant (RFC 8628).
import type { TestClient } from './relying-party.js';
import { postForm, type Target } from './request.js';

export const DEVICE_GRANT = 'urn:ietf:params:oauth:grant-type:device_code';

/** The metadata of a public client that uses only this grant. */
export const DEVICE_CLIENT = {
  grant_types: [DEVICE_GRANT],
  redirect_uris: [],
  token_endpoint_auth_method: 'none',
};

/** Requests a device code and a user code. */
export async function authorizeDevice(target: Target, client: TestClient, scope = 'openid') {
  const { json } = await postForm(target, '/oauth/device', { scope }, { client });
  return { deviceCode: String(json.device_code), userCode: String(json.user_code) };
}
