// TOTP codes with the test vectors of RFC 6238, and QR codes.
import { describe, expect, it } from 'vitest';
import { qrCodeSvg } from '../../../src/base/qr-code.js';
import { newTotpSecret, otpauthUri, stepOf } from '../../../src/core/mfa/totp.js';
import { Authenticator, readQrCode } from '../../support/authenticator.js';

describe('a TOTP code', () => {
  // RFC 6238, appendix B: the secret is "12345678901234567890". We use six of the eight digits.
  const secret = 'GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ';
  it.each([
    [59, '287082'],
    [1_111_111_109, '081804'],
    [1_111_111_111, '050471'],
    [1_234_567_890, '005924'],
    [2_000_000_000, '279037'],
    [20_000_000_000, '353130'],
  ])('at %i s equals that of RFC 6238', (seconds, code) => {
    const now = new Date(seconds * 1000);
    expect(stepOf(code, secret, now)).toBe(Math.floor(seconds / 30));
    expect(new Authenticator(secret).code(now)).toBe(code);
  });

  it('is valid for one step before and after its own', () => {
    const app = new Authenticator(newTotpSecret());
    const now = new Date('2026-01-02T03:04:05Z');
    const step = Math.floor(now.getTime() / 30_000);
    const matched = [-3, -2, -1, 0, 1, 2, 3].map((steps) => stepOf(app.code(now, steps), app.secret, now));
    expect(matched).toEqual([undefined, undefined, step - 1, step, step + 1, undefined, undefined]);
  });

  it('is valid for one secret only, of 160 bits', () => {
    const [one, other] = [newTotpSecret(), newTotpSecret()];
    expect(one).toMatch(/^[A-Z2-7]{32}$/);
    expect(other).not.toBe(one);
    const now = new Date('2026-01-02T03:04:05Z');
    expect(stepOf(new Authenticator(one).code(now), other, now)).toBeUndefined();
  });
});

describe('the QR code', () => {
  it.each([
    ['Signet', 'mara.lindqvist@example.com'],
    ['Ümläut & Söhne: "Konto" 100 %?#/', "o'brien+tag&x=1@exämple.com"],
    ['名前', `${'long'.repeat(50)}@${'sub.'.repeat(10)}example.com`],
  ])('contains issuer, account and secret: %s, %s', (issuer, label) => {
    const secret = newTotpSecret();
    const uri = otpauthUri(secret, issuer, label);
    expect(readQrCode(qrCodeSvg(uri))).toBe(uri);
    expect(uri).toMatch(/^otpauth:\/\/totp\/[\w%.~!'()*-]+:[\w%.~!'()*-]+\?[\w%.~!'()*&=-]+$/);
    const { pathname, searchParams } = new URL(uri);
    expect(pathname.split(/[/:]/).slice(-2).map(decodeURIComponent)).toEqual([issuer, label]);
    expect(Object.fromEntries(searchParams)).toEqual({ issuer, secret, algorithm: 'SHA1', digits: '6', period: '30' });
  });

  it('is an SVG without scripts, styles or external references', () => {
    const svg = qrCodeSvg(otpauthUri(newTotpSecret(), '<script>alert(1)</script>', '"><img src=x>@example.com'));
    expect(svg).toMatch(/^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg" viewBox="0 0 (\d+) \1">/);
    expect(svg).not.toMatch(/<script|<img|style=|href|<style/);
  });
});
