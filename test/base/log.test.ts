// The log: one JSON object per line, without secrets.
import { describe, expect, it } from 'vitest';
import { createLog } from '../../src/base/log.js';

function logged(run: (log: ReturnType<typeof createLog>) => void, level = 'info'): string[] {
  const lines: string[] = [];
  run(createLog(level, { write: (line) => lines.push(line) }));
  return lines;
}

describe('the log', () => {
  it('writes one object per line, with the name of the level and the time', () => {
    const [line = ''] = logged((log) => log.info({ n: 1 }, 'done\nand more'));
    expect(line.trimEnd()).not.toContain('\n');
    const { time, ...rest } = JSON.parse(line);
    expect(rest).toEqual({ level: 'info', n: 1, msg: 'done\nand more' });
    expect(Date.parse(time)).toBeGreaterThan(Date.now() - 10_000);
  });

  it('shortens long texts, which can come from requests', () => {
    const long = 'x'.repeat(30_000);
    const [line = ''] = logged((log) => log.info({ path: long, n: 1, error: new Error(long) }, 'request'));
    expect(line.length).toBeLessThan(7000);
    const { path, n, error } = JSON.parse(line);
    expect([path, n, error.message]).toEqual([`${'x'.repeat(2000)}…`, 1, `${'x'.repeat(2000)}…`]);
  });

  it('writes nothing below its level', () => {
    const lines = logged((log) => {
      log.debug('no');
      log.info('no');
      log.warn('yes');
    }, 'warn');
    expect(lines).toHaveLength(1);
    expect(logged((log) => log.fatal('no'), 'silent')).toEqual([]);
  });

  it.each([
    'password',
    'client_secret',
    'token',
    'access_token',
    'refresh_token',
    'id_token',
    'code',
    'code_verifier',
    'authorization',
    'cookie',
    'csrf',
    'otp',
    'secret',
  ])('redacts %s', (member) => {
    const [line = ''] = logged((log) => log.info({ [member]: 'hush', body: { [member]: 'hush' } }, 'x'));
    expect(line).not.toContain('hush');
    expect(line).toContain('[secret]');
  });

  it('writes message, stack and cause of an error, without members that a library added', () => {
    const error = Object.assign(new Error('broken', { cause: new Error('deeper') }), {
      code: 'P2002',
      request: { headers: { authorization: 'hush' } },
      meta: { parameters: ['hush'] },
    });
    const [line = ''] = logged((log) => log.error({ error }, 'x'));
    expect(line).not.toContain('hush');
    const { name, message, errorCode, stack, cause } = JSON.parse(line).error;
    expect([name, message, errorCode, cause.message]).toEqual(['Error', 'broken', 'P2002', 'deeper']);
    expect(stack).toContain('log.test');
    expect(JSON.parse(logged((log) => log.error({ error: 'text' }, 'x'))[0]!).error).toBe('text');
  });
});
