/** The pages of the protocol, and the values that each prints, ready to print. */

export interface OidcPages {
  'oidc/consent': ConsentPage;
  'oidc/device-input': DeviceInputPage;
  'oidc/device-confirm': DeviceConfirmPage;
  'oidc/device-done': DeviceDonePage;
  'oidc/logout': LogoutPage;
  'oidc/logged-out': LoggedOutPage;
}

/** Posts `csrf` and `decision` = `allow` | `deny` to `action`. */
interface ConsentPage {
  action: string;
  csrfToken: string;
  client: ClientView;
  /**
   * True for a client that registered itself or is described by a document: nobody here has looked
   * at who it is.
   */
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

interface ConsentResource {
  name: string;
  /** The audience URI. */
  identifier: string;
  scopes: { sentence: string }[];
}

/** Posts `xsrf` and `user_code` to `action`. */
interface DeviceInputPage {
  action: string;
  xsrf: string;
  userCode?: string;
  error?: string;
}

/** Posts `xsrf`, `user_code` and `confirm` = `yes` or `abort` = `yes` to `action`. */
interface DeviceConfirmPage {
  action: string;
  xsrf: string;
  /** As the device shows it, with its dashes. */
  userCode: string;
  client: ClientView;
  /** True for a client that registered itself. */
  unverified: boolean;
  /** Where the request came from, so that a stranger's can be told from one's own. */
  device: { address?: string; userAgent?: string };
}

interface DeviceDonePage {
  client?: { name: string };
  /** True when the person said no. */
  denied?: boolean;
}

/** Posts `xsrf` and, to sign out, `logout` = `yes` to `action`. */
interface LogoutPage {
  action: string;
  xsrf: string;
  client?: { name: string };
}

interface LoggedOutPage {
  client?: { name: string };
  /** Default: `/login`. */
  loginHref?: string;
}

/** An OAuth client as a person sees it. */
export interface ClientView {
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
