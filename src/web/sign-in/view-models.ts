/** View models of the sign-in, sign-up and recovery pages. */

export interface SignInPages {
  'sign-in/login': LoginPage;
  'sign-in/second-factor': SecondFactorPage;
  'sign-in/register': RegisterPage;
  'sign-in/setup': SetupPage;
  'sign-in/forgot-password': ForgotPasswordPage;
  'sign-in/reset-password': ResetPasswordPage;
  'sign-in/password-set': PasswordSetPage;
  'sign-in/verify-email': VerifyEmailPage;
  'sign-in/email-verified': EmailVerifiedPage;
  'sign-in/invitation': InvitationPage;
  'sign-in/invitation-accepted': InvitationAcceptedPage;
  'sign-in/sign-out': SignOutPage;
  'sign-in/signed-out': SignedOutPage;
}

/** Posts `csrf`, `email` and `password` to `action`. */
interface LoginPage {
  csrfToken: string;
  /** `/login`, with the user's destination in the query. */
  action: string;
  /** The address of the last attempt, or the app's `login_hint`. */
  email?: string;
  /** The same text for an unknown e-mail address and for a wrong password. */
  error?: string;
  /** The app that requested the sign-in: "to continue to Acme". */
  appName?: string;
  /** The URL that cancels the app's request. */
  cancelHref?: string;
  /** Absent if sign-up is disabled. */
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

/** Asks for the second factor. Posts `csrf`, `challenge` and `otp` to `action`. */
interface SecondFactorPage {
  csrfToken: string;
  /** `/login/otp`, with the user's destination in the query. */
  action: string;
  /** Identifies the completed first factor. */
  challenge: string;
  error?: string;
  /** The app that requested the sign-in. */
  appName?: string;
  startOverHref: string;
}

/** Posts `csrf`, `name`, `email` and `password` to `action`. */
interface RegisterPage {
  csrfToken: string;
  /** `/register`, with the user's destination in the query. */
  action: string;
  name?: string;
  email?: string;
  errors: AccountFormErrors;
  loginHref: string;
  /** Describes the requirements for a password. */
  passwordRule: string;
  /** The app that requested the sign-in. */
  appName?: string;
  providers?: FederatedProvider[];
}

/**
 * Creates the first administrator. Posts `csrf`, `token`, `name`, `email` and `password` to
 * `/setup`.
 */
interface SetupPage {
  csrfToken: string;
  /** The one-time token of the setup link, which the server prints when it first starts. */
  token: string;
  name?: string;
  email?: string;
  errors: AccountFormErrors;
  passwordRule: string;
}

/** Errors by field. `form` concerns the whole form. */
export interface AccountFormErrors {
  name?: string;
  email?: string;
  password?: string;
  form?: string;
}

/** Posts `csrf` and `email` to `/forgot-password`. */
interface ForgotPasswordPage {
  csrfToken: string;
  email?: string;
  error?: string;
  /** The address that was entered. The page is the same whether the account exists or not. */
  sentTo?: string;
}

/** Posts `csrf`, `token` and `password` to `/reset-password`. */
interface ResetPasswordPage {
  csrfToken: string;
  /** The token of the mailed link. */
  token: string;
  error?: string;
  /** Describes the requirements for a password. */
  passwordRule: string;
}

interface PasswordSetPage {
  /** Default: `/login`. */
  loginHref?: string;
}

/** Posts `csrf`, `token` and `password` to `/verify-email`. */
interface VerifyEmailPage {
  csrfToken: string;
  /** The token of the mailed link. */
  token: string;
  /** Whether the user is not signed in to the account. */
  needsPassword: boolean;
  /** Whether the page links to the password reset. */
  canReset: boolean;
  error?: string | undefined;
}

interface EmailVerifiedPage {
  /** Default: `/account`. */
  accountHref?: string;
}

/** An invitation and the next step of the user, which is one of the last four members. */
export interface InvitationPage {
  csrfToken: string;
  /** The token of the mailed link. */
  token: string;
  organization: string;
  inviter: { name?: string; email: string };
  /** "operator" */
  role: string;
  /** The invited address. */
  email: string;
  /** "22 November 2026" */
  expires: string;
  /** Posts `csrf` and `token` to `/invitations/accept`. */
  canAccept?: true;
  /** Present if no user is signed in. */
  signIn?: { loginHref: string; registerHref?: string };
  /** Present if a user with another address is signed in. */
  switchAccount?: { signedInAs: string; loginHref: string };
  /** Present if the address is not verified. Posts `csrf` to `/account/verify-email`. */
  verifyEmail?: { canSend: boolean };
}

interface InvitationAcceptedPage {
  organization: string;
  role: string;
}

/** Posts `csrf` to `/logout`. */
interface SignOutPage {
  csrfToken: string;
  email: string;
  /** The target of "Stay signed in". Default: `/account`. */
  stayHref?: string;
}

interface SignedOutPage {
  /** Default: `/login`. */
  loginHref?: string;
}
