// Mail: delivery to a real SMTP server, failing servers, and the outbox of development.
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/base/clock.js';
import { readConfig } from '../../src/base/config.js';
import { createLog } from '../../src/base/log.js';
import { createMailer, type Mailer } from '../../src/base/mailer.js';
import { type MailServer, openMailServer, openUnresponsiveServer } from '../support/mail-server.js';
import { waitUntil } from '../support/server-process.js';

const TOKEN = 'kJ3v9sQ1rT7yB2nM5xW8cL0pD4hJ6gFaZkq1wE2rT3y';
const TO = { address: 'mara@example.com' };
const PRODUCTION = { NODE_ENV: 'production', ISSUER: 'https://id.example.com', DATABASE_URL: 'file:x' };

let folder: string;
let lines: string[];
const closers: (() => Promise<unknown>)[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'signet-mail-'));
  lines = [];
});
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
  rmSync(folder, { recursive: true, force: true });
});

function open(settings: Record<string, string>, retryDelaysMs = [10, 10]): Mailer {
  const ownLines = lines; // mails of an earlier test can still fail and log
  const log = createLog('trace', { write: (line) => ownLines.push(line) });
  const mail = createMailer({
    config: readConfig({ DATA_DIR: folder, ...settings }),
    log,
    clock: systemClock,
    retryDelaysMs,
  });
  closers.push(() => mail.close());
  return mail;
}

async function server(options = {}): Promise<MailServer> {
  const opened = await openMailServer(options);
  closers.push(() => opened.close());
  return opened;
}

/** Checks that the log contains no token, recipient or password. */
function expectCleanLog() {
  expect(lines.join()).not.toMatch(new RegExp(`${TOKEN}|mara@example|hunter22|reset-password\\?`));
}

describe('a mail', () => {
  it('has both parts, a link to the issuer, and names in any script', async () => {
    const { mails, url } = await server();
    const mail = open({ ...PRODUCTION, SMTP_URL: url, BRAND_NAME: 'Ångström & Søn 東京' });
    mail.send({ name: 'Мария "Mara" Lindqvist', address: TO.address }, 'reset-password', { token: TOKEN });
    await mail.waitUntilIdle();
    const [received] = mails;
    expect(received).toMatchObject({ from: 'no-reply@id.example.com', to: [TO.address] });
    const headers = Object.fromEntries(received!.headers);
    expect(headers).toMatchObject({
      from: 'Ångström & Søn 東京 <no-reply@id.example.com>',
      subject: 'Choose a new password',
      'auto-submitted': 'auto-generated',
      'mime-version': '1.0',
    });
    expect(headers.to).toMatch(/^"?Мария \\?"Mara\\?" Lindqvist"? <mara@example\.com>$/);
    expect(headers['message-id']).toMatch(/@id\.example\.com>$/);
    const link = `https://id.example.com/reset-password?token=${TOKEN}`;
    expect(received!.text).toContain(`\n${link}`);
    expect(received!.text).toContain('Ångström & Søn 東京');
    expect(received!.html).toContain(`href="${link}"`);
    expect(received!.html).toContain('Ångström &amp; Søn 東京');
    expect(lines).toEqual([]);
  });

  it('has the sender of MAIL_FROM', async () => {
    const { mails, url } = await server();
    const mail = open({ SMTP_URL: url, MAIL_FROM: 'Acme Accounts <accounts@acme.example>' });
    mail.send(TO, 'verify-email', { token: TOKEN });
    await mail.waitUntilIdle();
    expect(mails[0]!.from).toBe('accounts@acme.example');
    expect(mails[0]!.headers.get('from')).toBe('Acme Accounts <accounts@acme.example>');
  });

  it('gets no extra header or recipient from a name or a value', async () => {
    const { mails, url } = await server();
    const mail = open({ SMTP_URL: url });
    const evil = 'x\r\nBcc: evil@example.com\r\n\r\n<evil@example.com>, evil@example.com';
    mail.send({ name: evil, address: TO.address }, 'new-device', { device: evil, address: evil, at: evil });
    await mail.waitUntilIdle();
    expect(mails).toHaveLength(1);
    expect(mails[0]!.to).toEqual([TO.address]);
    expect([...mails[0]!.headers.keys()]).not.toContain('bcc');
    expect([...mails[0]!.headers.values()].filter((value) => /^\S*evil/.test(value))).toEqual([]);
    expect(mails[0]!.html).not.toContain('<evil');
  });

  it.each([
    'a@example.com, b@example.com',
    'a@example.com\r\nRCPT TO:<b@example.com>',
    'a@example.com>\r\nDATA',
    '<a@example.com>',
    'a b@example.com',
    '',
  ])('is not sent to the address %j', async (address) => {
    const { mails, url } = await server();
    const mail = open({ SMTP_URL: url });
    mail.send({ address }, 'verify-email', { token: TOKEN });
    await mail.waitUntilIdle();
    expect(mails).toEqual([]);
    expect(lines.join()).toContain('address is invalid');
    expectCleanLog();
  });
});

describe('mail delivery', () => {
  it('is retried if the server is busy', async () => {
    let rejections = 2;
    const busy = { onMailFrom: (_: unknown, __: unknown, done: (error?: Error) => void) => done(nextError()) };
    const nextError = () => {
      rejections -= 1;
      return rejections >= 0 ? Object.assign(new Error(`later, ${TOKEN}`), { responseCode: 450 }) : undefined;
    };
    const { mails, url } = await server(busy);
    const mail = open({ SMTP_URL: url });
    mail.send(TO, 'reset-password', { token: TOKEN });
    await mail.waitUntilIdle();
    expect(mails).toHaveLength(1);
    expect(lines.filter((line) => line.includes('will retry'))).toHaveLength(2);
    expectCleanLog();
  });

  it('is not retried after a permanent error, whose text is not logged', async () => {
    let attempts = 0;
    const { url } = await server({
      onData(stream: NodeJS.ReadableStream, _: unknown, done: (error: Error) => void) {
        attempts += 1;
        stream.resume().on('end', () => {
          done(Object.assign(new Error(`spam: mara@example.com ${TOKEN}`), { responseCode: 554 }));
        });
      },
    });
    const mail = open({ SMTP_URL: url });
    mail.send(TO, 'reset-password', { token: TOKEN });
    await mail.waitUntilIdle();
    expect(attempts).toBe(1);
    expect(JSON.parse(lines[0]!)).toMatchObject({
      level: 'error',
      template: 'reset-password',
      smtpCode: 554,
      attempts: 1,
    });
    expectCleanLog();
  });

  it('is retried if the server is down or closes the connection', async () => {
    const drops = await openUnresponsiveServer('drops');
    closers.push(drops.close);
    for (const SMTP_URL of [drops.url.replace('//', '//mara:hunter22@'), 'smtp://127.0.0.1:1']) {
      lines = [];
      const mail = open({ SMTP_URL });
      mail.send(TO, 'reset-password', { token: TOKEN });
      await mail.waitUntilIdle();
      expect(JSON.parse(lines.at(-1)!)).toMatchObject({ level: 'error', attempts: 3 });
      expectCleanLog();
    }
    expect(drops.connections()).toBe(3);
  });

  it('neither blocks callers nor delays the stop for long if the server does not respond', async () => {
    const hangs = await openUnresponsiveServer('hangs');
    closers.push(hangs.close);
    const mail = open({ SMTP_URL: hangs.url });
    const started = performance.now();
    for (let n = 0; n < 1100; n += 1) mail.send(TO, 'reset-password', { token: TOKEN });
    expect(performance.now() - started).toBeLessThan(500);
    expect(lines.filter((line) => line.includes('the message was dropped'))).toHaveLength(100);
    await waitUntil('four connections are open', () => hangs.connections() === 4);
    const closing = performance.now();
    await mail.close();
    expect(performance.now() - closing).toBeLessThan(4000);
    expect(lines.at(-1)).toContain('"messages":1000');
    expectCleanLog();
  });

  it('needs trusted encryption, except on loopback or if the settings allow it', async () => {
    const plain = await server();
    const selfSigned = await server({ disabledCommands: [] });
    // 0.0.0.0 is this machine, too, but is not recognized as loopback.
    const nonLoopback = (url: string) => url.replace('127.0.0.1', '0.0.0.0');
    for (const { url } of [plain, selfSigned]) {
      lines = [];
      const mail = open({ SMTP_URL: nonLoopback(url) }, []);
      mail.send(TO, 'verify-email', { token: TOKEN });
      await mail.waitUntilIdle();
      expect(JSON.parse(lines[0]!)).toMatchObject({ level: 'error', reason: expect.stringMatching(/TLS|SOCKET/) });
    }
    expect([...plain.mails, ...selfSigned.mails]).toEqual([]);
    const mail = open({ SMTP_URL: `${nonLoopback(plain.url)}?tls=off` }, []);
    mail.send(TO, 'verify-email', { token: TOKEN });
    await mail.waitUntilIdle();
    expect(plain.mails).toHaveLength(1);
  });

  it('authenticates with user and password', async () => {
    const { mails, url } = await server({
      authOptional: false,
      allowInsecureAuth: true,
      onAuth: (
        { username, password }: { username: string; password: string },
        _: unknown,
        done: (error: Error | null, response?: object) => void,
      ) => (username === 'mara@x' && password === 'p:ss/w%rd' ? done(null, { user: 1 }) : done(new Error('no'))),
    });
    for (const credentials of ['mara%40x:p%3Ass%2Fw%25rd', 'mara:hunter22']) {
      const mail = open({ SMTP_URL: url.replace('//', `//${credentials}@`) });
      mail.send(TO, 'verify-email', { token: TOKEN });
      await mail.waitUntilIdle();
    }
    expect(mails).toHaveLength(1);
    expect(JSON.parse(lines[0]!)).toMatchObject({ level: 'error', reason: 'EAUTH', attempts: 1 });
    expectCleanLog();
  });

  it('sends waiting mails when the process stops and the server is back', async () => {
    let down = true;
    const { mails, url } = await server({
      onConnect: (_: unknown, done: (error?: Error) => void) =>
        done(down ? Object.assign(new Error('down'), { responseCode: 421 }) : undefined),
    });
    const mail = open({ SMTP_URL: url }, [3_600_000]);
    mail.send(TO, 'verify-email', { token: TOKEN });
    await waitUntil('the first attempt failed', () => lines.length > 0);
    down = false;
    await mail.close();
    expect(mails).toHaveLength(1);
  });
});

describe('the outbox', () => {
  it('stores mails in files that only their owner can read, newest first, up to a limit', async () => {
    const mail = open({ NODE_ENV: 'development' });
    for (let n = 0; n < 203; n += 1) {
      mail.send({ address: `n${n}@example.com` }, 'verify-email', { token: TOKEN });
      if (n % 50 === 0 || n > 199) await mail.waitUntilIdle();
      if (n > 199) await sleep(2); // mails of one millisecond have no order
    }
    await mail.waitUntilIdle();
    const files = readdirSync(join(folder, 'outbox'));
    expect(files).toHaveLength(200);
    expect(statSync(join(folder, 'outbox', files[0]!)).mode & 0o777).toBe(0o600);
    expect(statSync(join(folder, 'outbox')).mode & 0o777).toBe(0o700);
    const [newest] = await mail.outbox!.list();
    expect(newest).toMatchObject({ to: 'n202@example.com', subject: 'Confirm your e-mail address' });
    expect(newest!.text).toContain(`http://localhost:3000/verify-email?token=${TOKEN}`);
  });

  it('does not exist in production or with a mail server', async () => {
    const { url } = await server();
    for (const settings of [PRODUCTION, { ...PRODUCTION, SMTP_URL: url }, { SMTP_URL: url }]) {
      const mail = open(settings);
      mail.send(TO, 'reset-password', { token: TOKEN });
      await mail.waitUntilIdle();
      expect(mail.outbox).toBeUndefined();
      expect(mail.canSend).toBe('SMTP_URL' in settings);
      expect(existsSync(join(folder, 'outbox'))).toBe(false);
    }
    expectCleanLog();
  });
});
