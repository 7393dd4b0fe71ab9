// The errors that mean that a store is unavailable.
import { describe, expect, it } from 'vitest';
import { isStoreUnavailable, serviceUnavailable, upstreamUnavailable } from '../../src/base/app-error.js';

const reply = (message: string) => Object.assign(new Error(message), { name: 'ReplyError' });

describe('a store is unavailable', () => {
  it.each([
    "OOM command not allowed when used memory > 'maxmemory'.",
    "OOM command not allowed when used memory > 'maxmemory'. script: 2775, on @user_script:3.",
    "ERR Error running script (call to f_2775): @user_script:3: -OOM command not allowed when used memory > 'maxmemory'.",
    'MISCONF Redis is configured to save RDB snapshots, but is currently not able to persist on disk.',
    "READONLY You can't write against a read only replica.",
    'LOADING Redis is loading the dataset in memory',
  ])('if Redis replies %j', (message) => {
    expect(isStoreUnavailable(reply(message))).toBe(true);
  });

  it('if the error says so already', () => {
    expect(isStoreUnavailable(serviceUnavailable('The rate limiter is unavailable.'))).toBe(true);
  });

  it.each([
    reply('WRONGTYPE Operation against a key holding the wrong kind of value'),
    reply("ERR unknown command 'OOM '"),
    new Error('OOM command not allowed'),
    upstreamUnavailable('The provider does not respond.'),
  ])('not if the error is %s', (error) => {
    expect(isStoreUnavailable(error)).toBe(false);
  });
});
