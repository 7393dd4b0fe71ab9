// A caller that breaks the rules of HTTP, or is gone before its answer: the log knows at most, and
// standard error stays clean.

import { connect } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { FORM } from '../../support/request.js';
import { startServer, type TestServer } from '../../support/server.js';

const BODY = 'token=unknown&client_id=unknown';

describe('an answer that nobody takes', () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startServer({ settings: { LOG_LEVEL: 'debug' } });
  });
  afterEach(() => void vi.restoreAllMocks());
  afterAll(() => server.close());

  /** Says that nothing will follow, and sends more. */
  function breakOff(path: string): Promise<void> {
    const head = [
      `POST ${path} HTTP/1.1`,
      'Host: localhost',
      'Connection: close',
      `Content-Type: ${FORM}`,
      `Content-Length: ${BODY.length}`,
    ];
    return new Promise((resolve) => {
      const socket = connect(server.port, '127.0.0.1', () =>
        socket.write(`${head.join('\r\n')}\r\n\r\n${BODY}and more`),
      );
      socket.resume().on('close', () => resolve());
    });
  }

  it.each(['/oauth/revoke', '/oauth/revoke?long', '/oauth/device', '/oauth/token', '/api/v1/auth/login', '/login'])(
    'is a quiet line of the log (%s)',
    async (path) => {
      const complained = vi.spyOn(console, 'error').mockReturnValue(undefined);
      server.lines.length = 0;
      await breakOff(path);
      const lines = () => server.lines.map((line) => JSON.parse(line) as Record<string, unknown>);
      await expect.poll(() => lines().filter(({ msg }) => msg === 'request')).toHaveLength(1);
      expect(complained).not.toHaveBeenCalled();
      const told = lines().filter(({ msg }) => msg === 'the answer could not be sent');
      expect(told.length).toBeGreaterThan(0);
      for (const { level } of told) expect(level).toBe('debug');
    },
  );
});
