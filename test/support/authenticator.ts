// An authenticator app: reads a QR code from pixels and computes codes with an independent
// implementation of RFC 6238.
import { createHmac } from 'node:crypto';
import jsQR from 'jsqr';
import { systemMeta } from '../../src/base/request-meta.js';
import type { Account } from '../../src/core/accounts/accounts.js';
import type { TestServer } from './server.js';

const STEP_MS = 30_000;
const BASE32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
const PIXELS = 4; // per module of the QR code

export class Authenticator {
  constructor(readonly secret: string) {}

  /** Reads the secret from an `otpauth:` URI. */
  static scan(uri: string): Authenticator {
    const secret = new URL(uri).searchParams.get('secret');
    if (!secret) throw new Error(`no secret in ${uri}`);
    return new Authenticator(secret);
  }

  /** Returns the code for a time, or for a later or earlier time step. */
  code(at: Date = new Date(), stepsAway = 0): string {
    const counter = Buffer.alloc(8);
    counter.writeBigUInt64BE(BigInt(Math.floor(at.getTime() / STEP_MS) + stepsAway));
    const mac = createHmac('sha1', fromBase32(this.secret)).update(counter).digest();
    const number = mac.readUInt32BE(mac.at(-1)! & 0xf) & 0x7fff_ffff;
    return String(number % 1_000_000).padStart(6, '0');
  }

  /** Returns a code that is wrong in all time steps around `at`. */
  wrongCode(at: Date = new Date()): string {
    const near = [-2, -1, 0, 1, 2].map((steps) => this.code(at, steps));
    return ['000000', '111111', '222222', '333333', '444444', '555555'].find((code) => !near.includes(code))!;
  }
}

/** Decodes a QR code that is drawn as squares in SVG. */
export function readQrCode(svg: string): string | undefined {
  const size = Number(/viewBox="0 0 (\d+) \1"/.exec(svg)?.[1]);
  const width = size * PIXELS;
  const image = new Uint8ClampedArray(width * width * 4).fill(255);
  for (const [, x, y, side] of svg.matchAll(/M(\d+),(\d+)h(\d+)v\3h-\3z/g)) {
    for (let row = 0; row < Number(side) * PIXELS; row += 1) {
      const start = ((Number(y) * PIXELS + row) * width + Number(x) * PIXELS) * 4;
      for (let i = 0; i < Number(side) * PIXELS; i += 1) image.set([0, 0, 0], start + i * 4);
    }
  }
  return jsQR.default(image, width, width)?.data;
}

/**
 * Sets up a second factor for an account. The code of the current time step is then used up: the
 * next one that is accepted is `app.code(now, 1)`.
 */
export async function enrol(server: TestServer, now = new Date(), existing?: Account) {
  const account = existing ?? (await server.account());
  const { session, token } = await server.core.sessions.open(account, ['pwd'], systemMeta);
  const login = { account, session, amr: ['pwd'] };
  const app = Authenticator.scan((await server.core.mfa.beginEnrollment(account)).otpauthUri);
  const recoveryCodes = await server.core.mfa.confirmEnrollment(login, app.code(now), systemMeta);
  return { account, login, token, app, recoveryCodes };
}

function fromBase32(text: string): Buffer {
  const bits = [...text].map((letter) => BASE32.indexOf(letter).toString(2).padStart(5, '0')).join('');
  return Buffer.from((bits.match(/.{8}/g) ?? []).map((byte) => Number.parseInt(byte, 2)));
}
