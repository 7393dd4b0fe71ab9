// The mails of a house that sends none: what it would have sent, and the links in it.
import type { KeptMail } from '../../src/base/mail/outbox.js';
import type { TestServer } from './server.js';

/** All mails to somebody, the newest first, when what is under way is done. */
export async function mailsTo(server: Pick<TestServer, 'base' | 'core'>, to: string): Promise<KeptMail[]> {
  await server.base.background.settle();
  await server.base.mail.settle();
  const mails = await server.base.mail.outbox!.list(200);
  return mails.filter((mail) => mail.to === to);
}

/** The newest one with this subject. */
export async function mailTo(
  server: Pick<TestServer, 'base' | 'core'>,
  to: string,
  subject: RegExp,
): Promise<KeptMail> {
  const mail = (await mailsTo(server, to)).find((kept) => subject.test(kept.subject));
  if (!mail) throw new Error(`there is no mail to ${to} about ${subject}`);
  return mail;
}

export function linkIn({ text }: Pick<KeptMail, 'text'>): URL {
  return new URL(/https?:\/\/\S+/.exec(text)![0]);
}

export const tokenIn = (mail: Pick<KeptMail, 'text'>): string => linkIn(mail).searchParams.get('token')!;
