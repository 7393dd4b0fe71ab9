// Reads the outbox of a server without SMTP: the mails that it would have sent, and their links.
import type { StoredMessage } from '../../src/base/mail/outbox.js';
import type { TestServer } from './server.js';

/** Waits for background work, then returns all mails to an address, newest first. */
export async function mailsTo(server: Pick<TestServer, 'base' | 'core'>, to: string): Promise<StoredMessage[]> {
  await server.base.background.waitUntilIdle();
  await server.base.mailer.waitUntilIdle();
  const mails = await server.base.mailer.outbox!.list(200);
  return mails.filter((mail) => mail.to === to);
}

/** Returns the newest mail to an address with this subject. */
export async function mailTo(
  server: Pick<TestServer, 'base' | 'core'>,
  to: string,
  subject: RegExp,
): Promise<StoredMessage> {
  const mail = (await mailsTo(server, to)).find((kept) => subject.test(kept.subject));
  if (!mail) throw new Error(`no mail to ${to} with the subject ${subject}`);
  return mail;
}

export function linkIn({ text }: Pick<StoredMessage, 'text'>): URL {
  return new URL(/https?:\/\/\S+/.exec(text)![0]);
}

export const tokenIn = (mail: Pick<StoredMessage, 'text'>): string => linkIn(mail).searchParams.get('token')!;
