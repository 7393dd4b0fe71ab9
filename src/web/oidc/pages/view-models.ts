/** View models of the pages of this module. */

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
  /** True if no administrator has reviewed the client. */
  unverified: boolean;
  /** The host of its metadata document, if it has one. */
  documentHost?: string | undefined;
  /** True for a loopback redirect URI: any program on this computer could be the client. */
  isLoopback: boolean;
  /** The host of the redirect URI, or a description of an app on this device. */
  redirectHost: string;
  account: { name?: string; email: string };
  /** The URL that signs in with another account and returns. */
  switchHref?: string;
  scopes: ConsentScope[];
  resources: ConsentResource[];
  /** True for `offline_access`: access while the user is signed out. */
  offlineAccess: boolean;
}

export interface ConsentScope {
  /** "Your e-mail address" */
  title: string;
  /** One line about the access that the app gets. */
  description: string;
  /** `identity`: claims about the user. `api`: what the app can do for the user. */
  kind: 'identity' | 'api';
}

interface ConsentResource {
  name: string;
  /** The audience URI. */
  identifier: string;
  scopes: { description: string }[];
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
  /** With dashes, as the device shows it. */
  userCode: string;
  client: ClientView;
  /** True if no administrator has reviewed the client. */
  unverified: boolean;
  /** The origin of the request, so that the user can recognize their own device. */
  device: { address?: string; userAgent?: string };
}

interface DeviceDonePage {
  client?: { name: string };
  /** True when the user denied the request. */
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
  /** The page of an unverified app to which the user can continue. */
  app?: { href: string; host: string } | undefined;
}

/** An OAuth client as it is shown to a user. */
export interface ClientView {
  name: string;
  /** The host of its home page or of its redirect URI. */
  host?: string;
  /**
   * The first letter of its name. It replaces a logo, because pages load nothing from other hosts.
   */
  initial: string;
  /** An `https:` URL, like the next two. */
  clientUri?: string;
  policyUri?: string;
  tosUri?: string;
}
