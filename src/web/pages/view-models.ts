/**
 * The pages that belong to no door or to several, and the values that each prints, ready to print.
 */

export interface SharedPages {
  home: HomePage;
  error: ErrorPage;
  'sign-in/link-expired': LinkExpiredPage;
  outbox: OutboxPage;
}

interface HomePage {
  /** Present when somebody is signed in. */
  account?: { name?: string; email: string };
  /** Left out where nobody may create an account. */
  registerHref?: string;
  /** `<ISSUER>/.well-known/openid-configuration` */
  discoveryUrl: string;
}

interface ErrorPage {
  /** "This page does not exist" */
  heading: string;
  message: string;
  /** For whoever reports it: `invalid_request`. */
  code?: string;
  requestId?: string;
  backHref?: string;
}

/** A mailed link that does not work any more. */
interface LinkExpiredPage {
  /** One sentence: where another one comes from. */
  advice: string;
  href: string;
  action: string;
}

/** What a machine without a mail server would have sent. */
interface OutboxPage {
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
