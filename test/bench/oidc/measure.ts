// Requests over kept connections, and what they cost the server's process.
import { readFileSync } from 'node:fs';
import { Agent, type IncomingHttpHeaders, request } from 'node:http';
import { platform } from 'node:os';

export interface Measured {
  /** CPU time of the server process for each request; undefined if the system cannot report it. */
  cpuMicros: number | undefined;
  p50Ms: number;
  p99Ms: number;
}

export interface Answer {
  status: number;
  headers: IncomingHttpHeaders;
  body: string;
}

/** One request of worker number `worker`. Throws when the answer is not the right one. */
export type Once = (worker: number) => Promise<void>;

const TICKS_PER_SECOND = 100; // USER_HZ, on every Linux
/**
 * Sockets that rest are given up before the servers do so, after 5 s: the request on its way would
 * be lost.
 */
const agent = new Agent({ keepAlive: true, maxSockets: 64, timeout: 2000 });

/** Sends so many requests, so many of them at a time. */
export async function measure(
  pid: number,
  { requests, inFlight, once }: { requests: number; inFlight: number; once: Once },
): Promise<Measured> {
  const times: number[] = [];
  let left = requests;
  const began = cpuMicrosOf(pid);
  await Promise.all(
    Array.from({ length: inFlight }, async (_, worker) => {
      while (left-- > 0) {
        const sent = performance.now();
        await once(worker);
        times.push(performance.now() - sent);
      }
    }),
  );
  const spent = cpuMicrosOf(pid);
  times.sort((a, b) => a - b);
  return {
    cpuMicros: began === undefined || spent === undefined ? undefined : (spent - began) / requests,
    p50Ms: times[Math.floor(times.length * 0.5)]!,
    p99Ms: times[Math.floor(times.length * 0.99)]!,
  };
}

/** Each worker comes from an address of its own, by way of a proxy. */
export function ask(
  url: string,
  worker: number,
  { headers, form, json }: { headers?: Record<string, string>; form?: Record<string, string>; json?: object } = {},
): Promise<Answer> {
  const body = form ? new URLSearchParams(form).toString() : json && JSON.stringify(json);
  const sent = {
    'x-forwarded-for': `10.0.${worker >> 8}.${worker & 255}`,
    ...headers,
    ...(body && {
      'content-type': form ? 'application/x-www-form-urlencoded' : 'application/json',
      'content-length': String(Buffer.byteLength(body)),
    }),
  };
  return new Promise((resolve, reject) => {
    const asked = request(url, { agent, method: body ? 'POST' : 'GET', headers: sent }, (answer) => {
      let text = '';
      answer.setEncoding('utf8').on('data', (chunk) => {
        text += chunk;
      });
      answer.once('end', () => resolve({ status: answer.statusCode!, headers: answer.headers, body: text }));
    });
    asked.once('error', reject).end(body);
  });
}

/** User and system time of all threads of a process (proc_pid_stat(5), fields 14 and 15). */
function cpuMicrosOf(pid: number): number | undefined {
  if (platform() !== 'linux') return undefined;
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return ((Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND) * 1e6;
}
