/**
 * The pages of a person at home, and the values that each prints, ready to print. Those of agents
 * stand in agent-pages.ts.
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
  /** Whether a second factor is set up. */
  hasFactor: boolean;
  logins: AccountLogin[];
  apps: AccountApp[];
  /** How many API keys work. */
  keys: number;
  /** How many agents their organizations have. */
  agents: number;
  /** How many questions of agents wait for an answer. */
  openApprovals: number;
  /** One sentence about what was just done: "Signed out of Firefox on Linux." */
  notice?: string;
  /**
   * Whether a link that verifies the address can be sent: posts `csrf` to `/account/verify-email`.
   */
  canVerifyEmail: boolean;
}

/**
 * One place where the person is signed in. Times are ready to print: "2 minutes ago", "3 March
 * 2026".
 */
interface AccountLogin {
  id: string;
  /** The login that shows this page. */
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
  /** What it may do, as short phrases. */
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
  /** What a password must be like. */
  passwordRule: string;
  errors: PasswordErrors;
  notice?: string;
  /** What could not be done. */
  problem?: string;
  factor: { enrolled: boolean; recoveryCodesLeft: number };
  /** False for somebody who always came by a provider elsewhere. */
  hasPassword: boolean;
  /** Who the person is elsewhere. */
  links: SecurityLink[];
  /** The providers that are not linked yet. */
  linkable: { id: string; name: string }[];
}

/** One sentence beside the field that has to change. */
export interface PasswordErrors {
  current?: string;
  password?: string;
}

interface SecurityLink {
  id: string;
  /** "Google", or an issuer. */
  name: string;
  /** As the provider told it last. */
  email?: string;
  since: string;
  lastUsed?: string;
  /** What the provider gives for the person is kept here. */
  keepsToken: boolean;
}

/**
 * What an authenticator app has to learn. Posts `csrf` and `otp` to
 * `/account/security/factor/confirm`.
 */
interface EnrolmentPage {
  csrfToken: string;
  /** The QR code, a `data:` URI. */
  qrSrc: string;
  /** The same to type, in groups of four letters. */
  secret: string[];
  error?: string;
}

/** Shown this once. */
interface RecoveryCodesPage {
  csrfToken: string;
  codes: string[];
}

/**
 * What agents ask. Posts `csrf` and `decision` = `approve` | `deny` to `/account/approvals/:id`.
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
  /** What the agent shows elsewhere, so that the person knows which question this is. */
  bindingMessage: string;
  actions: ApprovalAction[];
  resource: { name: string; identifier: string };
  scopes: { name: string; sentence: string }[];
  /** "2 minutes ago" */
  since: string;
  /** "for 8 more minutes" */
  timeLeft: string;
}

/** One thing that the agent wants to do: all that it says of it. */
export interface ApprovalAction {
  titles: string[];
  facts: { name: string; value: string }[];
}

interface KeysPage {
  csrfToken: string;
  notice?: string;
  keys: KeyRow[];
  /** The last ones that work no more. */
  ended: { name: string; hint: string; place: string; how: 'Revoked' | 'Expired'; since: string }[];
}

export interface KeyRow {
  id: string;
  name: string;
  /** Its first characters. */
  hint: string;
  /** "Northwind, project Reporting" */
  place: string;
  role: string;
  scopes: string[];
  made: string;
  /** "5 minutes ago" */
  lastUsed?: string;
  /** "on 3 March 2026"; never, when it is left out. */
  ends?: string;
}

/** One of a few to choose from. */
export interface Choice {
  value: string;
  label: string;
  selected: boolean;
}

/**
 * Posts `csrf`, `name`, `place`, `role`, `life`, and `scope.<name>` for each that is ticked, to
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
  /** What is wrong with none of the fields. */
  problem?: string;
}

/** One sentence beside the field that has to change. */
export interface NewKeyErrors {
  name?: string;
  place?: string;
  role?: string;
  scopes?: string;
}

/** Shown this once. */
interface KeyMadePage {
  csrfToken: string;
  name: string;
  key: string;
  ends?: string;
  /** One sentence about the key that it replaces. */
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
