/**
 * Pages of a signed-in user, and the values that each prints. agent-view-models.ts has those of
 * agents.
 */
import type { AgentPages } from './agent-view-models.js';

export interface AccountPages extends AgentPages {
  'account/home': AccountPage;
  'account/security': SecurityPage;
  'account/factor': EnrolmentPage;
  'account/recovery-codes': RecoveryCodesPage;
  'account/approvals': ApprovalsPage;
  'account/keys': KeysPage;
  'account/new-key': NewKeyPage;
  'account/key-made': KeyMadePage;
  'account/replace-key': ReplaceKeyPage;
  'account/revoke-key': RevokeKeyPage;
}

/**
 * Forms post `csrf` to `/account/logins/:id/end`, `/account/apps/remove` (with `client_id`),
 * `/account/verify-email` and `/logout`.
 */
interface AccountPage {
  csrfToken: string;
  account: { name?: string; email: string; emailVerified: boolean; initial: string };
  isAdmin: boolean;
  hasFactor: boolean;
  logins: AccountLogin[];
  apps: AccountApp[];
  /** The number of active API keys. */
  keys: number;
  /** The number of agents in the user's organizations. */
  agents: number;
  /** The number of pending approval requests. */
  openApprovals: number;
  /** Describes what was just done: "Signed out of Firefox on Linux." */
  notice?: string;
  /** Reports whether a verification link can be sent: posts `csrf` to `/account/verify-email`. */
  canVerifyEmail: boolean;
}

/** A session of the user. Times are formatted: "2 minutes ago", "3 March 2026". */
interface AccountLogin {
  id: string;
  /** True for the session of this browser. */
  current: boolean;
  /** "Firefox on Linux" */
  device: string;
  address: string;
  since: string;
  lastSeen: string;
}

interface AccountApp {
  clientId: string;
  name: string;
  host?: string;
  /** Short descriptions of what the app can do. */
  scopes: string[];
  since: string;
}

/**
 * Forms post `csrf` to `/account/security/factor`, `/account/security/factor/remove` and
 * `/account/security/passwordReset-codes`, with `current_password` and `password` to
 * `/account/security/password`, with `provider` to `/account/security/link`, and with `id` to
 * `/account/security/unlink`.
 */
interface SecurityPage {
  csrfToken: string;
  email: string;
  /** Describes the requirements for a password. */
  passwordRule: string;
  errors: PasswordErrors;
  notice?: string;
  /** Describes what failed. */
  problem?: string;
  factor: { enrolled: boolean; recoveryCodesLeft: number };
  /** False for an account that was created with an external provider. */
  hasPassword: boolean;
  /** The linked external identities. */
  links: SecurityLink[];
  /** Providers that are not linked yet. */
  linkable: { id: string; name: string }[];
}

/** Errors by field. */
export interface PasswordErrors {
  current?: string;
  password?: string;
}

interface SecurityLink {
  id: string;
  /** "Google", or an issuer. */
  name: string;
  /** The address in the provider's latest response. */
  email?: string;
  since: string;
  lastUsed?: string;
  /** True if the provider's tokens are stored. */
  keepsToken: boolean;
}

/** The TOTP secret. Posts `csrf` and `otp` to `/account/security/factor/confirm`. */
interface EnrolmentPage {
  csrfToken: string;
  /** The QR code, a `data:` URI. */
  qrSrc: string;
  /** The same secret for typing, in groups of four letters. */
  secret: string[];
  error?: string;
}

/** Shown once. */
interface RecoveryCodesPage {
  csrfToken: string;
  codes: string[];
}

/**
 * Requests from agents. Posts `csrf` and `decision` = `approve` or `deny` to
 * `/account/approvals/:id`.
 */
interface ApprovalsPage {
  csrfToken: string;
  email: string;
  questions: ApprovalQuestion[];
  notice?: string;
}

export interface ApprovalQuestion {
  id: string;
  agent: { name: string; agentId: string; initial: string };
  /** The message that the agent also shows to the user, so that both can be compared. */
  bindingMessage: string;
  actions: ApprovalAction[];
  resource: { name: string; identifier: string };
  scopes: { name: string; sentence: string }[];
  /** "2 minutes ago" */
  since: string;
  /** "for 8 more minutes" */
  timeLeft: string;
}

/** One requested action with all its details. */
export interface ApprovalAction {
  titles: string[];
  facts: { name: string; value: string }[];
}

interface KeysPage {
  csrfToken: string;
  notice?: string;
  keys: KeyRow[];
  /** Keys that were revoked or expired lately. */
  ended: { name: string; hint: string; place: string; how: 'Revoked' | 'Expired'; since: string }[];
}

export interface KeyRow {
  id: string;
  name: string;
  /** The first characters of the key. */
  hint: string;
  /** "Northwind, project Reporting" */
  place: string;
  role: string;
  scopes: string[];
  made: string;
  /** "5 minutes ago" */
  lastUsed?: string;
  /** "on 3 March 2026". Absent if the key never expires. */
  ends?: string;
}

/** An option of a select. */
export interface Choice {
  value: string;
  label: string;
  selected: boolean;
}

/**
 * Posts `csrf`, `name`, `place`, `role`, `life`, and `scope.<name>` for each checked scope, to
 * `/account/keys/new`.
 */
interface NewKeyPage {
  csrfToken: string;
  name: string;
  places: Choice[];
  roles: Choice[];
  lives: Choice[];
  scopes: { name: string; sentence?: string; ticked: boolean }[];
  errors: NewKeyErrors;
  /** An error that concerns no single field. */
  problem?: string;
}

/** Errors by field. */
export interface NewKeyErrors {
  name?: string;
  place?: string;
  role?: string;
  scopes?: string;
}

/** Shown once. */
interface KeyMadePage {
  csrfToken: string;
  name: string;
  key: string;
  ends?: string;
  /** Describes when the replaced key expires. */
  oldKey?: string;
}

/** Posts `csrf` and `grace` to `/account/keys/:id/replace`. */
interface ReplaceKeyPage {
  csrfToken: string;
  key: KeyRow;
  graces: Choice[];
}

/** Posts `csrf` to `/account/keys/:id/revoke`. */
interface RevokeKeyPage {
  csrfToken: string;
  key: KeyRow;
}
