// Reads the outbox of a server without SMTP: the mails that it would have sent, and their links.
import type { KeptMail } from '../../src/base/mail/outbox.js';
import type { TestServer } from './server.js';

/** Waits for background work, then returns all mails to an address, newest first. */
export async function mailsTo(server: Pick<TestServer, 'base' | 'core'>, to: string): Promise<KeptMail[]> {
  await server.base.background.settle();
  await server.base.mail.settle();
  const mails = await server.base.mail.outbox!.list(200);
  return mails.filter((mail) => mail.to === to);
}

/** Returns the newest mail to an address with this subject. */
export async function mailTo(
  server: Pick<TestServer, 'base' | 'core'>,
  to: string,
  subject: RegExp,
): Promise<KeptMail> {
  const mail = (await mailsTo(server, to)).find((kept) => subject.test(kept.subject));
  if (!mail) throw new Error(`no mail to ${to} with the subject ${subject}`);
  return mail;
}

export function linkIn({ text }: Pick<KeptMail, 'text'>): URL {
  return new URL(/https?:\/\/\S+/.exec(text)![0]);
}

export const tokenIn = (mail: Pick<KeptMail, 'text'>): string => linkIn(mail).searchParams.get('token')!;
