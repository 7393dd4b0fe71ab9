/** Every page and the values that it prints, ready to print: `views/` has a template for each. */

/** What `views.render` takes. */
export interface Pages {
  home: HomePage;
  error: ErrorPage;
  'sign-in/login': LoginPage;
  'sign-in/factor': FactorPage;
  'sign-in/register': RegisterPage;
  'sign-in/setup': SetupPage;
  'sign-in/forgot-password': ForgotPasswordPage;
  'sign-in/reset-password': ResetPasswordPage;
  'sign-in/password-set': PasswordSetPage;
  'sign-in/verify-email': VerifyEmailPage;
  'sign-in/email-verified': EmailVerifiedPage;
  'sign-in/link-expired': LinkExpiredPage;
  'sign-in/invitation': InvitationPage;
  'sign-in/invitation-accepted': InvitationAcceptedPage;
  'sign-in/sign-out': SignOutPage;
  'sign-in/signed-out': SignedOutPage;
  'oidc/consent': ConsentPage;
  'oidc/device-input': DeviceInputPage;
  'oidc/device-confirm': DeviceConfirmPage;
  'oidc/device-done': DeviceDonePage;
  'oidc/logout': LogoutPage;
  'oidc/logged-out': LoggedOutPage;
  'account/home': AccountPage;
  'account/security': SecurityPage;
  'account/factor': EnrolmentPage;
  'account/recovery-codes': RecoveryCodesPage;
  'account/approvals': ApprovalsPage;
  'account/claim-agent': ClaimAgentPage;
  'account/agent-claimed': AgentClaimedPage;
  'docs/api': ApiReferencePage;
  outbox: OutboxPage;
}

/** Posts `csrf`, `email` and `password` to `action`. */
export interface LoginPage {
  csrfToken: string;
  /** `/login`, with where the person goes afterwards in its query. */
  action: string;
  /** Kept from the last attempt, or from the app's `login_hint`. */
  email?: string;
  /** One sentence. It must read the same for an unknown e-mail and for a wrong password. */
  error?: string;
  /** The app that sent the person here: "to continue to Acme". */
  appName?: string;
  /** Goes back to the app with a no. */
  cancelHref?: string;
  /** Left out where nobody may create an account. */
  registerHref?: string;
  forgotHref?: string;
  providers?: FederatedProvider[];
}

/** A button that posts `csrf` to `action`. */
export interface FederatedProvider {
  /** "Google", as in "Continue with Google". */
  name: string;
  action: string;
}

/** The second step of a sign-in. Posts `csrf`, `ticket` and `otp` to `action`. */
export interface FactorPage {
  csrfToken: string;
  /** `/login/otp`, with where the person goes afterwards in its query. */
  action: string;
  /** Stands for the first step. */
  ticket: string;
  error?: string;
  /** The app that sent the person here. */
  appName?: string;
  startOverHref: string;
}

/** Posts `csrf`, `name`, `email` and `password` to `action`. */
export interface RegisterPage {
  csrfToken: string;
  /** `/register`, with where the person goes afterwards in its query. */
  action: string;
  name?: string;
  email?: string;
  errors: AccountFormErrors;
  loginHref: string;
  /** What a password must be, told beside the field before the first attempt. */
  passwordRule: string;
  /** The app that sent the person here. */
  appName?: string;
  providers?: FederatedProvider[];
}

/** The first administrator. Posts `csrf`, `token`, `name`, `email` and `password` to `/setup`. */
export interface SetupPage {
  csrfToken: string;
  /** The one-time token of the link that was printed when the server first started. */
  token: string;
  name?: string;
  email?: string;
  errors: AccountFormErrors;
  passwordRule: string;
}

/** One sentence beside each field that has to change; `form` is about all of it. */
export interface AccountFormErrors {
  name?: string;
  email?: string;
  password?: string;
  form?: string;
}

/** Posts `csrf` and `email` to `/forgot-password`. */
export interface ForgotPasswordPage {
  csrfToken: string;
  email?: string;
  error?: string;
  /** The address that was asked for: the answer is the same whether there is an account or not. */
  sentTo?: string;
}

/** Posts `csrf`, `token` and `password` to `/reset-password`. */
export interface ResetPasswordPage {
  csrfToken: string;
  /** Of the mailed link. */
  token: string;
  error?: string;
  /** What is asked of a password, in one sentence. */
  passwordRule: string;
}

export interface PasswordSetPage {
  /** Default: `/login`. */
  loginHref?: string;
}

/** Posts `csrf` and `token` to `/verify-email`. */
export interface VerifyEmailPage {
  csrfToken: string;
  /** Of the mailed link. */
  token: string;
}

export interface EmailVerifiedPage {
  /** Default: `/account`. */
  accountHref?: string;
}

/** A mailed link that does not work any more. */
export interface LinkExpiredPage {
  /** One sentence: where another one comes from. */
  advice: string;
  href: string;
  action: string;
}

/** What an invitation says, and what its reader can do about it: one of `accept`, `signIn`, `change` and `verify`. */
export interface InvitationPage {
  csrfToken: string;
  /** Of the mailed link. */
  token: string;
  organization: string;
  inviter: { name?: string; email: string };
  /** "operator" */
  role: string;
  /** The address that was invited. */
  email: string;
  /** "22 November 2026" */
  expires: string;
  /** Posts `csrf` and `token` to `/invitations/accept`. */
  accept?: true;
  /** Nobody is signed in. */
  signIn?: { loginHref: string; registerHref?: string };
  /** Somebody with another address is. */
  change?: { signedInAs: string; loginHref: string };
  /** The address is not confirmed. Posts `csrf` to `/account/verify-email`, where a link can be sent. */
  verify?: { canSend: boolean };
}

export interface InvitationAcceptedPage {
  organization: string;
  role: string;
}

/** Posts `csrf` and `token` to `/account/agents/claim`. */
export interface ClaimAgentPage {
  csrfToken: string;
  /** Of the link. */
  token: string;
  name: string;
  /** As whoever made it calls it. */
  agentId: string;
  /** "22 November 2026" */
  made: string;
  ends: string;
  /** A sentence each. */
  capabilities: string[];
  /** Of the person who is signed in. */
  email: string;
}

export interface AgentClaimedPage {
  name: string;
}

/** Posts `csrf` to `/logout`. */
export interface SignOutPage {
  csrfToken: string;
  email: string;
  /** Where "Stay signed in" goes. Default: `/account`. */
  stayHref?: string;
}

export interface SignedOutPage {
  /** Default: `/login`. */
  loginHref?: string;
}

/** An OAuth client as a person sees it. */
export interface ClientCard {
  name: string;
  /** The host of its home page or of its redirect URI. */
  host?: string;
  /** Its first letter, in place of a logo: logos are never hot-linked. */
  initial: string;
  /** Checked to be `https:` by whoever fills this in; so are the next two. */
  clientUri?: string;
  policyUri?: string;
  tosUri?: string;
}

/** Posts `csrf` and `decision` = `allow` | `deny` to `action`. */
export interface ConsentPage {
  action: string;
  csrfToken: string;
  client: ClientCard;
  /** True for a client that registered itself or is described by a document: nobody here has looked at who it is. */
  unverified: boolean;
  /** The host whose document describes it, where one does. */
  describedAt?: string | undefined;
  /** True where the answer goes to this computer: whatever runs there could have asked. */
  local: boolean;
  /** Where the answer is sent: a host, or for an app on this computer what a person calls that. */
  redirectHost: string;
  account: { name?: string; email: string };
  /** Signs in as somebody else and comes back. */
  switchHref?: string;
  scopes: ConsentScope[];
  resources: ConsentResource[];
  /** True when the client asks for access while the person is away (`offline_access`). */
  offline: boolean;
}

export interface ConsentScope {
  /** "Your e-mail address" */
  title: string;
  /** What the app can do with it, in one sentence. */
  sentence: string;
  /** `identity`: who the person is. `api`: what the app may do in their name. */
  kind: 'identity' | 'api';
}

export interface ConsentResource {
  name: string;
  /** The audience URI. */
  identifier: string;
  scopes: { sentence: string }[];
}

/** Posts `xsrf` and `user_code` to `action`. */
export interface DeviceInputPage {
  action: string;
  xsrf: string;
  userCode?: string;
  error?: string;
}

/** Posts `xsrf`, `user_code` and `confirm` = `yes` or `abort` = `yes` to `action`. */
export interface DeviceConfirmPage {
  action: string;
  xsrf: string;
  /** As the device shows it, with its dashes. */
  userCode: string;
  client: ClientCard;
  /** True for a client that registered itself. */
  unverified: boolean;
  /** Where the request came from, so that a stranger's can be told from one's own. */
  device: { address?: string; userAgent?: string };
}

export interface DeviceDonePage {
  client?: { name: string };
  /** True when the person said no. */
  denied?: boolean;
}

/** Posts `xsrf` and, to sign out, `logout` = `yes` to `action`. */
export interface LogoutPage {
  action: string;
  xsrf: string;
  client?: { name: string };
}

export interface LoggedOutPage {
  client?: { name: string };
  /** Default: `/login`. */
  loginHref?: string;
}

/** Forms post `csrf` to `/account/logins/:id/end`, `/account/apps/remove` (with `client_id`), `/account/verify-email` and `/logout`. */
export interface AccountPage {
  csrfToken: string;
  account: { name?: string; email: string; emailVerified: boolean; initial: string };
  isAdmin: boolean;
  /** Whether a second factor is set up. */
  hasFactor: boolean;
  logins: AccountLogin[];
  apps: AccountApp[];
  /** How many questions of agents wait for an answer. */
  openApprovals: number;
  /** One sentence about what was just done: "Signed out of Firefox on Linux." */
  notice?: string;
  /** Whether a link that verifies the address can be sent: posts `csrf` to `/account/verify-email`. */
  canVerifyEmail: boolean;
}

/** One place where the person is signed in. Times are ready to print: "2 minutes ago", "3 March 2026". */
export interface AccountLogin {
  id: string;
  /** The login that shows this page. */
  current: boolean;
  /** "Firefox on Linux" */
  device: string;
  address: string;
  since: string;
  lastSeen: string;
}

export interface AccountApp {
  clientId: string;
  name: string;
  host?: string;
  /** What it may do, as short phrases. */
  scopes: string[];
  since: string;
}

/** One sentence beside the field that has to change. */
export interface PasswordErrors {
  current?: string;
  password?: string;
}

/**
 * Forms post `csrf` to `/account/security/factor`, `/account/security/factor/remove` and `/account/security/recovery-codes`, with
 * `current_password` and `password` to `/account/security/password`, with `provider` to `/account/security/link`, and with `id` to
 * `/account/security/unlink`.
 */
export interface SecurityPage {
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

export interface SecurityLink {
  id: string;
  /** "Google", or an issuer. */
  name: string;
  /** As the provider told it last. */
  email?: string;
  since: string;
  lastUsed?: string;
}

/** What an authenticator app has to learn. Posts `csrf` and `otp` to `/account/security/factor/confirm`. */
export interface EnrolmentPage {
  csrfToken: string;
  /** The QR code, a `data:` URI. */
  qrSrc: string;
  /** The same to type, in groups of four letters. */
  secret: string[];
  error?: string;
}

/** Shown this once. */
export interface RecoveryCodesPage {
  csrfToken: string;
  codes: string[];
}

/** What agents ask. Posts `csrf` and `decision` = `approve` | `deny` to `/account/approvals/:id`. */
export interface ApprovalsPage {
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

/** What a machine without a mail server would have sent. */
export interface OutboxPage {
  /** The folder that holds all of them. */
  folder: string;
  mails: {
    subject: string;
    to: string;
    /** "2026-11-22 13:20:59 UTC" */
    at: string;
    /** Its text, in pieces of which some are links. */
    parts: { text: string; href?: string }[];
  }[];
}

export interface HomePage {
  /** Present when somebody is signed in. */
  account?: { name?: string; email: string };
  /** Left out where nobody may create an account. */
  registerHref?: string;
  /** `<ISSUER>/.well-known/openid-configuration` */
  discoveryUrl: string;
}

/** Where the page finds the document, and the files that show it. */
export interface ApiReferencePage {
  documentHref: string;
  viewerHref: string;
  viewerStylesheetHref: string;
  scriptHref: string;
  pageStylesheetHref: string;
}

export interface ErrorPage {
  /** "This page does not exist" */
  heading: string;
  message: string;
  /** For whoever reports it: `invalid_request`. */
  code?: string;
  requestId?: string;
  backHref?: string;
}
