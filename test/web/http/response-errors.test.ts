// Clients that violate HTTP or disconnect before the response.

import { connect } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { FORM } from '../../support/request.js';
import { startServer, type TestServer } from '../../support/server.js';

const BODY = 'token=unknown&client_id=unknown';

describe('a response that cannot be sent', () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startServer({ settings: { LOG_LEVEL: 'debug' } });
  });
  afterEach(() => void vi.restoreAllMocks());
  afterAll(() => server.close());

  /** Sends more bytes than `Content-Length` announces, after `Connection: close`. */
  function sendExcessBytes(path: string): Promise<void> {
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
    'is logged at level debug and not written to standard error: %s',
    async (path) => {
      const consoleError = vi.spyOn(console, 'error').mockReturnValue(undefined);
      server.lines.length = 0;
      await sendExcessBytes(path);
      const lines = () => server.lines.map((line) => JSON.parse(line) as Record<string, unknown>);
      await expect.poll(() => lines().filter(({ msg }) => msg === 'request')).toHaveLength(1);
      expect(consoleError).not.toHaveBeenCalled();
      const reported = lines().filter(({ msg }) => msg === 'could not send the response');
      expect(reported.length).toBeGreaterThan(0);
      for (const { level } of reported) expect(level).toBe('debug');
    },
  );
});
