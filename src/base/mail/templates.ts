/** Mail templates: a name, its values, and two files in views/mail, for text and HTML. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import ejs from 'ejs';

const TEMPLATES = fileURLToPath(new URL('../../../views/', import.meta.url));

/**
 * All mails and their values. Links consist of the issuer and a token, so nothing else decides
 * where they lead.
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

/** A change of an account, and where it came from. */
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

/** Compiles all templates, so that a broken one is found at start. */
export function createMailTemplates({ brandName, issuer }: { brandName: string; issuer: string }) {
  const names = Object.keys(SUBJECTS) as (keyof MailTemplates)[];
  const templates = new Map(
    names.map((name) => [name, { text: template(`${name}.txt`, plain), html: template(`${name}.html`) }]),
  );

  return { compose };

  function compose<Name extends keyof MailTemplates>(name: Name, values: MailTemplates[Name]): RenderedMessage {
    const { text, html } = templates.get(name)!;
    const subject = SUBJECTS[name];
    const letter = { ...values, brandName, issuer, subject };
    return { subject, text: text(letter), html: html(letter) };
  }
}

/** Leaves values as they are, because text has no markup to escape. */
const plain = (value: unknown) => String(value ?? '');

function template(name: string, toText?: (value: unknown) => string): ejs.TemplateFunction {
  const filename = join(TEMPLATES, 'mail', `${name}.ejs`);
  const options = { filename, root: TEMPLATES, strict: true, localsName: 'letter', ...(toText && { escape: toText }) };
  return ejs.compile(readFileSync(filename, 'utf8'), options);
}
