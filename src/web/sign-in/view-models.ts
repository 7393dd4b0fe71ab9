/** The pages of a person arriving, and the values that each prints, ready to print. */

export interface SignInPages {
  'sign-in/login': LoginPage;
  'sign-in/factor': FactorPage;
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

/** The second step of a sign-in. Posts `csrf`, `challenge` and `otp` to `action`. */
interface FactorPage {
  csrfToken: string;
  /** `/login/otp`, with where the person goes afterwards in its query. */
  action: string;
  /** Stands for the first step. */
  challenge: string;
  error?: string;
  /** The app that sent the person here. */
  appName?: string;
  startOverHref: string;
}

/** Posts `csrf`, `name`, `email` and `password` to `action`. */
interface RegisterPage {
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

/**
 * The first administrator. Posts `csrf`, `token`, `name`, `email` and `password` to `/bootstrap`.
 */
interface SetupPage {
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
interface ForgotPasswordPage {
  csrfToken: string;
  email?: string;
  error?: string;
  /** The address that was asked for: the answer is the same whether there is an account or not. */
  sentTo?: string;
}

/** Posts `csrf`, `token` and `password` to `/reset-password`. */
interface ResetPasswordPage {
  csrfToken: string;
  /** Of the mailed link. */
  token: string;
  error?: string;
  /** What is asked of a password, in one sentence. */
  passwordRule: string;
}

interface PasswordSetPage {
  /** Default: `/login`. */
  loginHref?: string;
}

/** Posts `csrf` and `token` to `/verify-email`. */
interface VerifyEmailPage {
  csrfToken: string;
  /** Of the mailed link. */
  token: string;
}

interface EmailVerifiedPage {
  /** Default: `/account`. */
  accountHref?: string;
}

/**
 * What an invitation says, and what its reader can do about it: one of `accept`, `signIn`, `change`
 * and `verify`.
 */
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
  /**
   * The address is not confirmed. Posts `csrf` to `/account/verify-email`, where a link can be
   * sent.
   */
  verify?: { canSend: boolean };
}

interface InvitationAcceptedPage {
  organization: string;
  role: string;
}

/** Posts `csrf` to `/logout`. */
interface SignOutPage {
  csrfToken: string;
  email: string;
  /** Where "Stay signed in" goes. Default: `/account`. */
  stayHref?: string;
}

interface SignedOutPage {
  /** Default: `/login`. */
  loginHref?: string;
}
