// One realistic set of values for every page, for tests and for previews.

import type { AccountPages } from '../../src/web/account/view-models.js';
import type { DocsPages } from '../../src/web/developers/view-models.js';
import type { ClientView, OidcPages } from '../../src/web/oidc/pages/view-models.js';
import type { SharedPages } from '../../src/web/pages/view-models.js';
import type { SignInPages } from '../../src/web/sign-in/view-models.js';

export interface Pages extends SharedPages, AccountPages, DocsPages, OidcPages, SignInPages {}

const csrfToken = 'Zk3v9sQ1rT7yB2nM5xW8cL0pD4hJ6gFa';
const loginRedirect = '?return_to=%2Finteraction%2FrH2xVb7QmKp';
const xsrf = 'd41d8cd98f00b204e9800998ecf8427e00c9';

const acme: ClientView = {
  name: 'Acme Analytics',
  host: 'analytics.acme.example',
  initial: 'A',
  clientUri: 'https://analytics.acme.example',
  policyUri: 'https://analytics.acme.example/privacy',
  tosUri: 'https://analytics.acme.example/terms',
};

const errors = {
  email: 'An account with this e-mail exists. Sign in instead, or use another address.',
  password: 'This password is on a list of leaked passwords. Choose another one.',
};

const agent = {
  id: 'agt_3f0d7c52-0a55-4d59-8f0e-5b8b0f8c7f10',
  agentId: 'my-cap-table-agent',
  name: 'Cap Table Automation',
  organization: 'Northwind Traders & Reporting',
  capabilities: ['read:cap-table', 'write:stakeholders'],
  isOwner: true,
  hasOwner: true,
  canManage: true,
  created: '3 March 2026',
};

const apiKey = {
  id: 'key_1c9f6b0e-6a0b-4f0c-9d0a-6f1f4b8f2c11',
  name: 'Nightly build',
  maskedKey: 'sk_live_9fQ2xLmA…',
  limitedTo: 'Northwind Traders & Reporting / Quarterly numbers',
  role: 'operator',
  scopes: ['memory:read', 'vector:search'],
  created: '3 March 2026',
  lastUsed: '5 minutes ago',
  expires: 'on 1 June 2026',
};

export const examplePages: Pages = {
  home: {
    registerHref: '/register',
    discoveryUrl: 'https://id.example.com/.well-known/openid-configuration',
  },
  continue: { refresh: 'https://app.example.com/callback?code=a&state=b' },
  'docs/api': {
    documentHref: '/api/openapi.json',
    viewerHref: '/assets/swagger-ui.js',
    viewerStylesheetHref: '/assets/swagger-ui.css',
    scriptHref: '/assets/api-reference.js',
    pageStylesheetHref: '/assets/api-reference.css',
  },
  error: {
    heading: 'This link has expired',
    message: 'It was used already, or it is older than ten minutes. Go back to the app and start again.',
    code: 'invalid_request',
    requestId: '01JX4T9C7M2Q8K5ZB3VN6WHRDE',
    backHref: '/',
  },
  'sign-in/login': {
    csrfToken,
    action: `/login${loginRedirect}`,
    email: 'mara.lindqvist@example.com',
    error: 'E-mail or password is wrong.',
    appName: 'Acme Analytics',
    cancelHref: '/interaction/rH2xVb7QmKp/abort',
    registerHref: '/register?return_to=%2Finteraction%2FrH2xVb7QmKp',
    forgotHref: '/forgot-password',
    providers: [
      { name: 'Google', action: '/login/with/google?return_to=%2Faccount' },
      { name: 'GitHub', action: '/login/with/github?return_to=%2Faccount' },
    ],
  },
  'sign-in/second-factor': {
    csrfToken,
    action: `/login/otp${loginRedirect}`,
    challenge: 'eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIn0..aXYtb2YtaXQ.c2VhbGVk.dGFn',
    error: 'This code is incorrect or was already used.',
    appName: 'Acme Analytics',
    startOverHref: `/login${loginRedirect}`,
  },
  'sign-in/register': {
    csrfToken,
    action: `/register${loginRedirect}`,
    name: 'Mara Lindqvist',
    email: 'mara.lindqvist@example.com',
    errors,
    loginHref: '/login',
    passwordRule: 'At least 8 characters.',
    appName: 'Acme Analytics',
    providers: [{ name: 'Google', action: '/login/with/google?return_to=%2Faccount' }],
  },
  'sign-in/forgot-password': {
    csrfToken,
    email: 'mara.lindqvist@example.com',
    error: 'Too many requests. Please wait and try again.',
  },
  'sign-in/reset-password': {
    csrfToken,
    token: 'n2M5xW8cL0pD4hJ6',
    error: errors.password,
    passwordRule: 'At least 8 characters.',
  },
  'sign-in/password-set': {},
  'sign-in/verify-email': { csrfToken, token: 'n2M5xW8cL0pD4hJ6', needsPassword: true, canReset: true },
  'sign-in/email-verified': {},
  'sign-in/invalid-link': {
    advice: 'The link works once, within one hour, until you request a newer one.',
    href: '/forgot-password',
    action: 'Request a new link',
  },
  'account/claim-agent': {
    csrfToken: 'csrf',
    token: 'token',
    name: 'Cap Table Automation',
    agentId: 'my-cap-table-agent',
    created: '22 November 2026',
    expires: '29 November 2026',
    capabilities: ['Read stakeholders, share classes, equity grants and ownership percentages.'],
    email: 'ada.okafor@northwind-traders.example',
  },
  'account/agent-claimed': { name: 'Cap Table Automation' },
  'account/agents': {
    csrfToken,
    more: '/account/agents?cursor=WyJhZ3RfMiJd',
    notice: 'The agent was deleted.',
    agents: [
      agent,
      { ...agent, id: 'agt_2', agentId: 'filer', name: 'Filing', isOwner: false, canManage: false },
      {
        ...agent,
        id: 'agt_3',
        agentId: 'watcher',
        name: 'Watcher',
        isOwner: false,
        hasOwner: false,
      },
    ],
  },
  'account/agent-key': { csrfToken, name: agent.name, key: 'ocs_live_9fQ2xLmA0aB1cD2eF3gH4iJ5kL6mN7oP8qR9sT' },
  'account/replace-agent-key': { csrfToken, agent: { ...agent, isOwner: false } },
  'account/delete-agent': { csrfToken, agent },
  'sign-in/invitation': {
    csrfToken,
    token: 'n2M5xW8cL0pD4hJ6',
    organization: 'Northwind Traders',
    inviter: { name: 'Ada Okafor', email: 'ada.okafor@northwind.example' },
    role: 'operator',
    email: 'mara.lindqvist@example.com',
    expires: '29 November 2026',
    canAccept: true,
  },
  'sign-in/invitation-accepted': { organization: 'Northwind Traders', role: 'operator' },
  outbox: {
    folder: 'data/outbox',
    messages: [
      {
        subject: 'Choose a new password',
        to: 'mara.lindqvist@example.com',
        sentAt: '22 November 2026 at 13:20 UTC',
        parts: [{ text: 'Choose it here:\n\n' }, { text: 'http://localhost:3000/x', href: 'http://localhost:3000/x' }],
      },
    ],
  },
  'sign-in/setup': {
    csrfToken,
    token: 'st_7Yq2mX9vKc4LwR8tZb3N',
    name: 'Mara Lindqvist',
    email: 'mara.lindqvist@example.com',
    errors: { form: 'The account could not be created. Try again.' },
    passwordRule: 'At least 8 characters.',
  },
  'sign-in/sign-out': { csrfToken, email: 'mara.lindqvist@example.com', stayHref: '/account' },
  'sign-in/signed-out': { loginHref: '/login' },
  'oidc/consent': {
    action: '/interaction/rH2xVb7QmKp/consent',
    csrfToken,
    client: acme,
    unverified: true,
    documentHost: 'apps.acme.example',
    isLoopback: true,
    redirectHost: 'analytics.acme.example',
    account: { name: 'Mara Lindqvist', email: 'mara.lindqvist@example.com' },
    switchHref: '/interaction/rH2xVb7QmKp/switch',
    scopes: [
      { title: 'Who you are', description: 'Your name, picture and plan.', kind: 'identity' },
      { title: 'Your e-mail address', description: 'The address, and whether it is verified.', kind: 'identity' },
      { title: 'Read memories', description: 'See what your agents have stored.', kind: 'api' },
    ],
    resources: [
      {
        name: 'Vector store',
        identifier: 'https://vectors.example.com/api',
        scopes: [{ description: 'Search your vectors.' }, { description: 'Add, change and delete vectors.' }],
      },
    ],
    offlineAccess: true,
  },
  'oidc/device-input': {
    action: '/device',
    xsrf,
    userCode: 'WDJB-MJHX',
    error: 'This code is not known. Compare it with your device.',
  },
  'oidc/device-confirm': {
    action: '/device',
    xsrf,
    userCode: 'WDJB-MJHT',
    client: { name: 'Acme Television', host: 'tv.acme.example', initial: 'A' },
    unverified: true,
    device: { address: '203.0.113.42', userAgent: 'AcmeTV/4.2 (Linux; armv7l)' },
  },
  'oidc/device-done': { client: { name: 'Acme Television' } },
  'oidc/logout': { action: '/oauth/logout/confirm', xsrf, client: { name: 'Acme Analytics' } },
  'oidc/logged-out': { client: { name: 'Acme Analytics' }, loginHref: '/login' },
  'account/security': {
    csrfToken,
    email: 'mara.lindqvist@example.com',
    passwordRule: 'At least 8 characters. A few unrelated words make a good one.',
    errors: { current: 'The current password is incorrect.', password: errors.password },
    secondFactor: { enrolled: true, recoveryCodesLeft: 2 },
    notice: 'Your password was saved.',
    error: 'You canceled the sign-in at the provider, so your account there was not linked.',
    hasPassword: true,
    links: [
      {
        id: 'link-1',
        name: 'Google',
        email: 'mara.lindqvist@gmail.com',
        linkedAt: '3 March 2026',
        lastUsed: '5 minutes ago',
        hasStoredTokens: true,
      },
    ],
    linkable: [{ id: 'github', name: 'GitHub' }],
  },
  'account/second-factor': {
    csrfToken,
    qrSrc: 'data:image/svg+xml;base64,PHN2ZyB4bWxucz0iaHR0cDovL3d3dy53My5vcmcvMjAwMC9zdmciLz4=',
    secret: ['JBSW', 'Y3DP', 'EHPK', '3PXP', 'JBSW', 'Y3DP', 'EHPK', '3PXP'],
    error: 'This code is incorrect or was already used.',
  },
  'account/recovery-codes': {
    csrfToken,
    codes: ['4831-0927-5560-1384-7726-0042', '9004-7182-3365-0911-2847-5561'],
  },
  'account/approvals': {
    csrfToken,
    more: '/account/approvals?cursor=WyIwMTlhYjJmNCJd',
    email: 'mara.lindqvist@example.com',
    notice: 'Denied. The agent is notified.',
    requests: [
      {
        id: '019ab2f4-7c1e-7000-8000-2f6d1c0e5a77',
        agent: { name: 'Cap Table Automation', agentId: 'my-cap-table-agent', initial: 'C' },
        bindingMessage: 'Grant 2026-114',
        actions: [
          {
            names: ['issue an equity grant'],
            details: [
              { name: 'On', value: 'Northwind Traders, Series A' },
              { name: 'shares', value: '12000' },
              { name: 'to', value: 'Ada Okafor' },
            ],
          },
          { names: ['notify the board'], details: [] },
        ],
        resource: { name: 'Cap table', identifier: 'https://cap.example.com/api' },
        scopes: [
          { name: 'write:equity', description: 'Issue grants, change vesting schedules and create share classes.' },
        ],
        requested: '2 minutes ago',
        timeLeft: 'for 8 more minutes',
      },
    ],
  },
  'account/keys': {
    csrfToken,
    notice: 'The key was revoked and no longer works.',
    keys: [apiKey, { ...apiKey, id: 'key_2', name: 'Laptop', scopes: [], lastUsed: undefined, expires: undefined }],
    more: '/account/keys?cursor=WyJrZXlfMiJd',
    inactiveKeys: [
      {
        name: 'Old laptop',
        maskedKey: 'sk_live_0aB1cD2e…',
        limitedTo: 'Mara Lindqvist',
        status: 'Revoked',
        since: 'just now',
      },
    ],
  },
  'account/new-key': {
    csrfToken,
    name: 'Nightly build',
    organizationsAndProjects: [
      { value: 'co_1', label: 'Mara Lindqvist', selected: false },
      { value: 'prj_1', label: apiKey.limitedTo, selected: true },
    ],
    hasMoreProjects: true,
    roles: [
      { value: '', label: 'Same as my role', selected: false },
      { value: 'viewer', label: 'viewer', selected: true },
    ],
    lifetimes: [{ value: '7776000', label: '90 days', selected: true }],
    scopes: [
      { name: 'memory:read', description: 'Read what your assistant remembers.', checked: true },
      { name: 'builds:start', checked: false },
    ],
    errors: {
      name: 'Use at most 100 ordinary characters.',
      place: 'You are not a member of this organization.',
      role: 'A key cannot have a higher role than its creator.',
      scopes: 'Unknown scope: memory:erase.',
      form: 'An account can have at most 200 active keys.',
    },
  },
  'account/key-created': {
    csrfToken,
    name: 'Nightly build',
    key: 'sk_live_9fQ2xLmA0aB1cD2eF3gH4iJ5kL6mN7oP8qR9sT',
    expires: 'on 1 June 2026',
    oldKey: 'The old key no longer works.',
  },
  'account/replace-key': {
    csrfToken,
    key: apiKey,
    gracePeriods: [
      { value: '0', label: 'Revoke it now', selected: false },
      { value: '86400', label: '1 day', selected: true },
    ],
  },
  'account/revoke-key': { csrfToken, key: apiKey },
  'account/home': {
    csrfToken,
    moreSessions: '/account?sessions=WyIwMTlhYjJmNCJd',
    moreApps: '/account?apps=WyIwMTlhYjJmNCJd',
    account: {
      name: 'Mara Lindqvist',
      email: 'mara.lindqvist@example.com',
      emailVerified: false,
      initial: 'M',
    },
    isAdmin: true,
    hasSecondFactor: true,
    notice: 'Signed out of Chrome on Windows.',
    canVerifyEmail: true,
    keyCount: 3,
    agentCount: 2,
    pendingApprovalCount: 2,
    sessions: [
      {
        id: 'ses_9f2c',
        current: true,
        device: 'Firefox on Linux',
        address: '198.51.100.23',
        signedIn: '3 March 2026',
        lastSeen: 'now',
      },
      {
        id: 'ses_41ab',
        current: false,
        device: 'Safari on iPhone',
        address: '2001:db8:85a3::8a2e:370:7334',
        signedIn: '18 February 2026',
        lastSeen: '2 hours ago',
      },
    ],
    apps: [
      {
        clientId: 'b1946ac9-2492-4d23-8c1c-0f1b2a3c4d5e',
        name: 'Acme Analytics',
        host: 'analytics.acme.example',
        scopes: ['name and picture', 'e-mail', 'read memories'],
        since: '3 March 2026',
      },
      { clientId: 'cli', name: 'Command line', scopes: ['search vectors'], since: '9 January 2026' },
    ],
  },
};
