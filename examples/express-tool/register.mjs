// What an administrator does once, by the API of internal tools: registers the tool, and makes a
// key to try it with.

/** Returns the key. */
export async function registerTool(issuer, tool, admin) {
  const { token } = await call('POST', '/token', admin);
  await call('POST', '/tools', tool, token).catch((error) => {
    if (error.code !== 'conflict') throw error; // it is there already
  });
  const { key } = await call('POST', '/keys', { name: `To try ${tool.name}` }, token);
  return key;

  async function call(method, path, body, bearer) {
    const answer = await fetch(`${issuer}/api${path}`, {
      method,
      headers: { 'content-type': 'application/json', ...(bearer && { authorization: `Bearer ${bearer}` }) },
      body: JSON.stringify(body),
    });
    const json = await answer.json();
    if (answer.ok) return json;
    throw Object.assign(new Error(`${path}: ${json.error_description ?? json.error}`), { code: json.error });
  }
}
