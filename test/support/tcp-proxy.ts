// A TCP proxy whose connections can be cut, rejected, or made to lose responses.
import { connect, createServer, type Socket } from 'node:net';

export interface TcpProxy {
  /** The server's URL with the address of the proxy. */
  url: string;
  /** Closes all connections and ends `mute`. */
  cut(): void;
  /** Sets whether new connections are accepted. */
  accept(yes: boolean): void;
  /** Drops what the server sends until the next `cut`. */
  mute(): void;
  close(): void;
}

export async function openTcpProxy(target: string): Promise<TcpProxy> {
  const { hostname, port } = new URL(target);
  const sockets = new Set<Socket>();
  let accepting = true;
  let muted = false;
  const server = createServer((client) => {
    if (!accepting) return void client.destroy();
    const upstream = connect(Number(port), hostname);
    for (const socket of [client, upstream]) sockets.add(socket.on('error', () => {}));
    client.on('data', (chunk) => upstream.write(chunk));
    upstream.on('data', (chunk) => muted || client.write(chunk));
    client.on('close', () => upstream.destroy());
    upstream.on('close', () => client.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = new URL(target);
  url.hostname = '127.0.0.1';
  url.port = String((server.address() as { port: number }).port);
  return {
    url: url.href,
    cut,
    accept(yes) {
      accepting = yes;
    },
    mute() {
      muted = true;
    },
    close() {
      cut();
      server.close();
    },
  };

  function cut(): void {
    muted = false;
    for (const socket of sockets) socket.destroy();
    sockets.clear();
  }
}
