import { describe, expect, it } from 'vitest';
import { describeAge, describeDay, describeDevice, describeLastUse } from '../../../src/web/account/words.js';

const NOW = new Date('2026-11-22T10:15:30Z');
const ago = (seconds: number) => new Date(NOW.getTime() - seconds * 1000);

describe('a moment, in words', () => {
  it.each([
    [0, 'just now'],
    [-5, 'just now'], // the clock of another process is ahead
    [59, 'just now'],
    [60, '1 minute ago'],
    [59 * 60, '59 minutes ago'],
    [60 * 60, '1 hour ago'],
    [23 * 3600 + 3599, '23 hours ago'],
    [24 * 3600, '21 November 2026'],
  ])('%i seconds later is "%s"', (seconds, words) => {
    expect(describeAge(ago(seconds), NOW)).toBe(words);
  });

  it('is no more exact about the last use of a login than what is known of it', () => {
    expect(describeLastUse(ago(10), NOW)).toBe('within the last hour');
    expect(describeLastUse(ago(2 * 3600), NOW)).toBe('2 hours ago');
  });

  it('may be a whole day', () => {
    expect(describeDay(NOW)).toBe('22 November 2026');
  });
});

describe('a device, in words', () => {
  it.each([
    ['Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0', 'Firefox on Linux'],
    ['Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) Version/18.5 Mobile/15E148 Safari/604.1', 'Safari on iOS'],
    ['Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/138.0 Safari/537.36 Edg/138.0', 'Edge on Windows'],
    ['curl/8.5.0', 'curl'],
    ['', 'Unknown device'],
    [null, 'Unknown device'],
  ])('%j is "%s"', (userAgent, words) => {
    expect(describeDevice(userAgent)).toBe(words);
  });
});
