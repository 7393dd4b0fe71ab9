/** View models of the account pages. agent-view-models.ts has those of agents. */
import type { AgentPages } from './agent-view-models.js';
import type { KeyView } from './key-view-models.js';

export interface AccountPages extends AgentPages {
  'account/home': AccountHomePage;
  'account/security': SecurityPage;
  'account/second-factor': EnrollmentPage;
  'account/recovery-codes': RecoveryCodesPage;
  'account/approvals': ApprovalsPage;
  'account/keys': KeysPage;
  'account/new-key': NewKeyPage;
  'account/key-created': KeyCreatedPage;
  'account/replace-key': ReplaceKeyPage;
  'account/revoke-key': RevokeKeyPage;
}

/**
 * Forms post `csrf` to `/account/logins/:id/end`, `/account/apps/remove` (with `client_id`),
 * `/account/verify-email` and `/logout`.
 */
interface AccountHomePage {
  csrfToken: string;
  account: { name?: string; email: string; emailVerified: boolean; initial: string };
  isAdmin: boolean;
  hasSecondFactor: boolean;
  sessions: SessionView[];
  /** The URL of the next part of the sessions. */
  moreSessions?: string | undefined;
  apps: AppView[];
  /** The URL of the next part of the apps. */
  moreApps?: string | undefined;
  /** The number of active API keys. */
  keyCount: number;
  /** The number of agents in the user's organizations. */
  agentCount: number;
  /** The number of pending approval requests. */
  pendingApprovalCount: number;
  /** Describes what was just done. */
  notice?: string;
  /** True if the address is not verified and the server can send mail. */
  canVerifyEmail: boolean;
}

/** A session of the user. Times are formatted: "2 minutes ago", "3 March 2026". */
interface SessionView {
  id: string;
  /** True for the session of this browser. */
  current: boolean;
  /** "Firefox on Linux" */
  device: string;
  /** The IP address. */
  address: string;
  signedIn: string;
  lastSeen: string;
}

interface AppView {
  clientId: string;
  name: string;
  /** The host of the app's home page. */
  host?: string;
  /** Short descriptions of what the app can do. */
  scopes: string[];
  since: string;
}

/**
 * Forms post `csrf` to `/account/security/factor`, `/account/security/factor/remove` and
 * `/account/security/recovery-codes`, with `current_password` and `password` to
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
  /** An error that concerns no field. */
  error?: string;
  secondFactor: { enrolled: boolean; recoveryCodesLeft: number };
  /** False for an account that was created with an external provider. */
  hasPassword: boolean;
  /** The linked external identities. */
  links: SecurityLink[];
  /** Providers that the user can link. */
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
  /** The e-mail address in the provider's latest response. */
  email?: string;
  /** "5 minutes ago" */
  linkedAt: string;
  /** "5 minutes ago" */
  lastUsed?: string;
  /** True if tokens of the provider are stored. */
  hasStoredTokens: boolean;
}

/**
 * Enrollment of an authenticator app. Posts `csrf` and `otp` to `/account/security/factor/confirm`.
 */
interface EnrollmentPage {
  csrfToken: string;
  /** The QR code, a `data:` URI. */
  qrSrc: string;
  /** The secret in groups of four letters, for a user who cannot scan the QR code. */
  secret: string[];
  error?: string;
}

/** New recovery codes. They cannot be shown again. */
interface RecoveryCodesPage {
  csrfToken: string;
  codes: string[];
}

/**
 * Approval requests from agents. Posts `csrf` and `decision` = `approve` or `deny` to
 * `/account/approvals/:id`.
 */
interface ApprovalsPage {
  csrfToken: string;
  email: string;
  requests: ApprovalRequestView[];
  /** The URL of the next part of the list. */
  more?: string | undefined;
  notice?: string;
}

export interface ApprovalRequestView {
  id: string;
  agent: { name: string; agentId: string; initial: string };
  /** The message that the agent also shows to the user, so that both can be compared. */
  bindingMessage: string;
  actions: ActionView[];
  resource: { name: string; identifier: string };
  scopes: { name: string; description: string }[];
  /** "2 minutes ago" */
  requested: string;
  /** "for 8 more minutes" */
  timeLeft: string;
}

/** A requested action with all its details. */
export interface ActionView {
  names: string[];
  details: { name: string; value: string }[];
}

interface KeysPage {
  csrfToken: string;
  notice?: string;
  keys: KeyView[];
  /** The URL of the next part of the list. */
  more?: string | undefined;
  /** The keys that were revoked or expired most recently. */
  inactiveKeys: InactiveKeyView[];
}

export interface InactiveKeyView extends Pick<KeyView, 'name' | 'maskedKey' | 'limitedTo'> {
  status: 'Revoked' | 'Expired';
  /** "5 minutes ago" */
  since: string;
}

/** An option of a `select` element. */
export interface SelectOption {
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
  organizationsAndProjects: SelectOption[];
  /** Whether the user has more projects than are listed. */
  hasMoreProjects: boolean;
  roles: SelectOption[];
  lifetimes: SelectOption[];
  scopes: { name: string; description?: string; checked: boolean }[];
  errors: NewKeyErrors;
}

/** Errors by field. `form` concerns the whole form. */
export interface NewKeyErrors {
  name?: string;
  place?: string;
  role?: string;
  scopes?: string;
  form?: string;
}

/** A new key. It cannot be shown again. */
interface KeyCreatedPage {
  csrfToken: string;
  name: string;
  key: string;
  /** "on 3 March 2026". Absent if the key never expires. */
  expires?: string;
  /** Describes when the replaced key expires. */
  oldKey?: string;
}

/** Posts `csrf` and `grace` to `/account/keys/:id/replace`. */
interface ReplaceKeyPage {
  csrfToken: string;
  key: KeyView;
  gracePeriods: SelectOption[];
  error?: string;
}

/** Posts `csrf` to `/account/keys/:id/revoke`. */
interface RevokeKeyPage {
  csrfToken: string;
  key: KeyView;
}
