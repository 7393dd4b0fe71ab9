import { describe, expect, it } from 'vitest';
import { hashRecoveryCode, newRecoveryCodes } from '../../../src/core/mfa/recovery-codes.js';

describe('a set of recovery codes', () => {
  it('has ten different codes of 24 digits', () => {
    const codes = [...newRecoveryCodes(), ...newRecoveryCodes()];
    expect(newRecoveryCodes()).toHaveLength(10);
    expect(new Set(codes).size).toBe(20);
    for (const code of codes) expect(code).toMatch(/^(\d{4}-){5}\d{4}$/);
  });

  it('contains every digit equally often', () => {
    const counts = new Map<string, number>();
    const digits = Array.from({ length: 100 }, newRecoveryCodes).flat().join('').replaceAll('-', '');
    for (const digit of digits) counts.set(digit, (counts.get(digit) ?? 0) + 1);
    expect(counts.size).toBe(10);
    // 24,000 digits: 2,400 of each expected, with a standard deviation of 46.
    for (const count of counts.values()) expect(Math.abs(count - 2400)).toBeLessThan(330);
  });

  it('has hashes that ignore the format of a code and do not reveal it', () => {
    const [code = ''] = newRecoveryCodes();
    const stored = hashRecoveryCode(code);
    for (const spelling of [
      code.replaceAll('-', ''),
      ` ${code} `,
      code.replaceAll('-', ' '),
      code.replaceAll('-', '–'),
    ])
      expect(hashRecoveryCode(spelling)).toBe(stored);
    expect(hashRecoveryCode(code.slice(0, -1))).not.toBe(stored);
    expect(stored).not.toContain(code.slice(0, 4));
    expect(stored).toMatch(/^[\w-]{43}$/);
  });
});
