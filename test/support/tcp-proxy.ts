// A wire between a test and a server that can be cut, closed for a while, or made to swallow
// answers.
import { connect, createServer, type Socket } from 'node:net';

export interface TcpProxy {
  /** The server's URL, but by way of the wire. */
  url: string;
  /** Ends all connections and hears answers again. */
  cut(): void;
  /** Whether new connections are taken. */
  accept(yes: boolean): void;
  /** Answers are swallowed until the next cut. */
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
    client.on('data', (question) => upstream.write(question));
    upstream.on('data', (answer) => muted || client.write(answer));
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
