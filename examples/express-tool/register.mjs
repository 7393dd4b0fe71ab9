// Registers the tool and creates an API key to try it with, as an administrator would do once.

/** Returns the API key. */
export async function registerTool(issuer, tool, admin) {
  const { token } = await call('POST', '/token', admin);
  await call('POST', '/tools', tool, token).catch((error) => {
    if (error.code !== 'conflict') throw error; // registered by an earlier run
  });
  const { key } = await call('POST', '/keys', { name: `To try ${tool.name}` }, token);
  return key;

  async function call(method, path, body, bearer) {
    const response = await fetch(`${issuer}/api${path}`, {
      method,
      headers: { 'content-type': 'application/json', ...(bearer && { authorization: `Bearer ${bearer}` }) },
      body: JSON.stringify(body),
    });
    const json = await response.json();
    if (response.ok) return json;
    throw Object.assign(new Error(`${path}: ${json.error_description ?? json.error}`), { code: json.error });
  }
}
