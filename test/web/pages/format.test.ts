import { describe, expect, it } from 'vitest';
import {
  describeAge,
  describeDay,
  describeDuration,
  describeExpiry,
  describeLastUse,
  describeTimeLeft,
} from '../../../src/web/pages/format.js';

const NOW = new Date('2026-11-22T10:15:30Z');
const ago = (seconds: number) => new Date(NOW.getTime() - seconds * 1000);

describe('describeAge', () => {
  it.each([
    [0, 'just now'],
    [-5, 'just now'], // the clock of another process can be ahead
    [59, 'just now'],
    [60, '1 minute ago'],
    [59 * 60, '59 minutes ago'],
    [60 * 60, '1 hour ago'],
    [23 * 3600 + 3599, '23 hours ago'],
    [24 * 3600, '21 November 2026'],
  ])('describes %i seconds ago as "%s"', (seconds, text) => {
    expect(describeAge(ago(seconds), NOW)).toBe(text);
  });
});

describe('describeLastUse', () => {
  it('is no more exact than the hourly record of use', () => {
    expect(describeLastUse(ago(10), NOW)).toBe('within the last hour');
    expect(describeLastUse(ago(2 * 3600), NOW)).toBe('2 hours ago');
  });
});

describe('describeTimeLeft', () => {
  it.each([
    [600, 'for 10 more minutes'],
    [541, 'for 10 more minutes'],
    [61, 'for 2 more minutes'],
    [60, 'for at most a minute'],
    [-5, 'for at most a minute'],
  ])('describes %i seconds as "%s"', (seconds, text) => {
    expect(describeTimeLeft(ago(-seconds), NOW)).toBe(text);
  });
});

describe('describeExpiry', () => {
  it.each([
    [-5, 'in 1 minute'],
    [60, 'in 1 minute'],
    [61, 'in 2 minutes'],
    [3600, 'in 1 hour'],
    [86_399, 'on 23 November 2026'],
    [82_800, 'in 23 hours'],
    [90 * 86_400, 'on 20 February 2027'],
  ])('describes an expiry in %i seconds as "%s"', (seconds, text) => {
    expect(describeExpiry(ago(-seconds), NOW)).toBe(text);
  });
});

describe('describeDuration', () => {
  it.each([
    [86_400, '1 day'],
    [90 * 86_400, '90 days'],
    [36 * 3600, '36 hours'],
    [90, '2 minutes'],
  ])('describes %i seconds as "%s"', (seconds, text) => {
    expect(describeDuration(seconds)).toBe(text);
  });
});

describe('describeDay', () => {
  it('describes the date without the time', () => {
    expect(describeDay(NOW)).toBe('22 November 2026');
  });
});
