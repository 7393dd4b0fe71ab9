import { describe, expect, it } from 'vitest';
import { describeDevice, describeSecurityEvent, deviceHash } from '../../../src/core/sessions/devices.js';

const FIREFOX = 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0';

describe('the description of a device', () => {
  it.each([
    ['Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0', 'Firefox on Linux'],
    ['Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) Version/18.5 Mobile/15E148 Safari/604.1', 'Safari on iOS'],
    ['Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/138.0 Safari/537.36 Edg/138.0', 'Edge on Windows'],
    ['curl/8.5.0', 'curl'],
    ['', 'Unknown device'],
    [null, 'Unknown device'],
  ])('for %j is "%s"', (userAgent, description) => {
    expect(describeDevice(userAgent)).toBe(description);
  });
});

describe('the description of a security event', () => {
  it('contains the device, the address and the time, but no text that an attacker controls', () => {
    const meta = { address: '203.0.113.7', userAgent: `${FIREFOX} <script>https://evil.example`, requestId: '' };
    expect(describeSecurityEvent(meta, new Date('2026-11-22T13:20:59Z'))).toEqual({
      device: 'Firefox on Linux',
      address: '203.0.113.7',
      at: '22 November 2026 at 13:20 UTC',
    });
  });
});

describe('a device', () => {
  const program = { address: '2001:db8:1:1::1', userAgent: 'acme-cli/1.0', requestId: '' };

  it('is recognized by its cookie at any address and with any user agent', () => {
    const hash = deviceHash('a', { ...program, device: 'cookie' });
    expect(deviceHash('a', { address: '', userAgent: FIREFOX, requestId: '', device: 'cookie' })).toBe(hash);
    expect(deviceHash('a', { ...program, device: 'another' })).not.toBe(hash);
  });

  it('is recognized by its user agent and network if it has no cookie', () => {
    const hash = deviceHash('a', program);
    expect(deviceHash('a', { ...program, address: '2001:db8:1:1::2' })).toBe(hash);
    expect(deviceHash('a', { ...program, address: '2001:db8:1:2::1' })).not.toBe(hash);
    expect(deviceHash('a', { ...program, userAgent: 'acme-cli/2.0' })).not.toBe(hash);
  });

  it('has a different hash for each account', () => {
    const browser = { ...program, device: 'cookie' };
    expect(deviceHash('a', browser)).not.toBe(deviceHash('b', browser));
  });
});
