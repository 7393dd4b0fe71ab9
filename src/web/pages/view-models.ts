/** View models of the pages that several modules share. */

export interface SharedPages {
  home: HomePage;
  error: ErrorPage;
  continue: ContinuePage;
  'sign-in/invalid-link': InvalidLinkPage;
  outbox: OutboxPage;
}

interface HomePage {
  /** Present if a user is signed in. */
  account?: { name?: string; email: string };
  /** Absent if sign-up is disabled. */
  registerHref?: string;
  /** `<ISSUER>/.well-known/openid-configuration` */
  discoveryUrl: string;
}

interface ErrorPage {
  /** "Page not found" */
  heading: string;
  message: string;
  /** The error code, for support: `invalid_request`. */
  code?: string;
  requestId?: string;
  backHref?: string;
}

/** Goes on to a URL by itself. */
interface ContinuePage {
  /** The URL, also for a link. */
  refresh: string;
}

/** A link from an e-mail or an agent that was used, was revoked or has expired. */
interface InvalidLinkPage {
  /** Describes how to get a new link. */
  advice: string;
  /** The target and the label of the button. */
  href: string;
  action: string;
}

/** Messages that were stored instead of sent. */
interface OutboxPage {
  /** The folder that stores the messages. */
  folder: string;
  messages: {
    subject: string;
    to: string;
    /** "22 November 2026 at 13:20 UTC" */
    sentAt: string;
    /** The text, split at its links. */
    parts: { text: string; href?: string }[];
  }[];
}
