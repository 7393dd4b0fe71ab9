/** The tags of the OpenAPI document, which group its operations. */

/** Each path has one tag: the first whose pattern matches. */
const TAGS: [name: string, description: string, paths: RegExp][] = [
  ['Sandbox', 'Test users. Only available with `TEST_AUTH=true`.', /^\/api\/v1\/test-auth\//],
  ['Me', 'The current user and their preferences.', /^\/api\/v1\/auth\/me(\/|$)/],
  ['Sessions', 'The sessions of an account.', /^\/api\/v1\/auth\/sessions(\/|$)/],
  ['Links', 'External identities linked to an account.', /^\/api\/v1\/auth\/(links(\/|$)|[\w-]+\/link$)/],
  ['Second factors', 'Authenticator apps and recovery codes.', /^\/api\/v1\/auth\/mfa\//],
  ['Approvals', "Requests of agents that need a user's approval.", /^\/api\/v1\/approvals(\/|$)/],
  ['Agents', 'Programs with their own identity, and their capabilities.', /^\/api\/v1\/(agents|capabilities)(\/|$)/],
  ['API keys', 'Scoped credentials for programs.', /^\/api\/v1\/api-keys(\/|$)/],
  ['API resources', 'APIs for which clients can request tokens.', /^\/api\/v1\/resources(\/|$)/],
  [
    'Organizations',
    'Organizations, members, projects and invitations.',
    /^\/api\/v1\/(organizations|projects|invitations)(\/|$)/,
  ],
  [
    'Tools: signing in',
    'Sign-in for users and administrators of tools.',
    /^\/api\/(login|logout|token|me|me\/password)$/,
  ],
  ['Tools: validation', "Validates the credentials of a tool's visitors.", /^\/api\/validate$/],
  [
    'Tools: users and permissions',
    'Users, tools, permissions and keys.',
    /^\/api\/(users|tools|permissions|keys)(\/|$)/,
  ],
  [
    'Signing in',
    'Sign-up, sign-in, tokens and cookies.',
    /^\/api\/v1\/auth\/(register|login|login-json|refresh|logout|reauth|verify-email|(forgot|reset|change)-password|(proxy|ainative)-login|[\w-]+\/callback)$/,
  ],
];

/** Returns the tag of a path. Throws if it has none, so that a new kind of endpoint gets one. */
export function tagOf(path: string): string {
  const tag = TAGS.find(([, , paths]) => paths.test(path));
  if (!tag) throw new Error(`${path} has no tag in the OpenAPI document`);
  return tag[0];
}

/** Returns the tags of these paths with their descriptions. */
export function tagsOf(paths: string[]): { name: string; description: string }[] {
  const used = new Set(paths.map(tagOf));
  const known = TAGS.map(([name, description]) => ({ name, description }));
  return known.filter(({ name }) => used.has(name)).reverse();
}
