/** Message templates: a name, its values, and two files in views/mail, for text and HTML. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import ejs from 'ejs';

const VIEWS_FOLDER = fileURLToPath(new URL('../../../views/', import.meta.url));

/**
 * All templates and their values. A link consists of the issuer and a token, so that no request
 * header can change its host.
 */
export interface MailTemplates {
  'verify-email': { token: string };
  'reset-password': { token: string };
  'password-changed': SecurityEvent;
  'new-device': SecurityEvent;
  'provider-linked': SecurityEvent & {
    /** "GitHub" */
    provider: string;
    /** How the identity was linked: by the user, by the e-mail address, or by an administrator. */
    by: 'login' | 'email' | 'admin';
  };
  'approval-requested': {
    /** The name of the agent. */
    agent: string;
  };
  invitation: {
    token: string;
    /** The address of the user who sent the invitation. */
    inviter: string;
    /** "operator" */
    role: string;
  };
}

/** A change of an account, and the request that caused it. */
export interface SecurityEvent {
  /** "Firefox on Linux" */
  device: string;
  address: string;
  /** "22 November 2026 at 14:05 UTC" */
  at: string;
}

export interface RenderedMessage {
  subject: string;
  text: string;
  html: string;
}

const SUBJECTS: Record<keyof MailTemplates, string> = {
  'verify-email': 'Confirm your e-mail address',
  'reset-password': 'Choose a new password',
  'password-changed': 'Your password was changed',
  'new-device': 'New sign-in to your account',
  'provider-linked': 'New sign-in method for your account',
  'approval-requested': 'An agent needs your approval',
  invitation: 'You are invited to an organization',
};

/** Compiles all templates, so that the server does not start with a broken one. */
export function createMailTemplates({ brandName, issuer }: { brandName: string; issuer: string }) {
  const names = Object.keys(SUBJECTS) as (keyof MailTemplates)[];
  const templates = new Map(
    names.map((name) => [name, { text: compile(`${name}.txt`, toText), html: compile(`${name}.html`) }]),
  );

  return { render };

  /** Returns the subject and both bodies of a message. */
  function render<Name extends keyof MailTemplates>(name: Name, values: MailTemplates[Name]): RenderedMessage {
    const { text, html } = templates.get(name)!;
    const subject = SUBJECTS[name];
    const locals = { ...values, brandName, issuer, subject };
    return { subject, text: text(locals), html: html(locals) };
  }
}

/** Replaces EJS's HTML escaping in text, which has no markup. */
const toText = (value: unknown) => String(value ?? '');

function compile(name: string, escapeValue?: (value: unknown) => string): ejs.TemplateFunction {
  const filename = join(VIEWS_FOLDER, 'mail', `${name}.ejs`);
  const options = {
    filename,
    root: VIEWS_FOLDER,
    strict: true,
    localsName: 'message',
    ...(escapeValue && { escape: escapeValue }),
  };
  return ejs.compile(readFileSync(filename, 'utf8'), options);
}
