// Sends requests over persistent connections and measures the CPU time of the server process.
import { readFileSync } from 'node:fs';
import { Agent, type IncomingHttpHeaders, request } from 'node:http';
import { platform } from 'node:os';

export interface Measured {
  /** CPU time of the server process for each request; undefined if the system cannot report it. */
  cpuMicros: number | undefined;
  p50Ms: number;
  p99Ms: number;
}

export interface BenchResponse {
  status: number;
  headers: IncomingHttpHeaders;
  body: string;
}

/** Sends one request as worker number `worker`. Throws if the response is not the expected one. */
export type SendOne = (worker: number) => Promise<void>;

const TICKS_PER_SECOND = 100; // USER_HZ, on every Linux
/** Closes idle sockets before the servers do (after 5 s), which could lose a request in transit. */
const agent = new Agent({ keepAlive: true, maxSockets: 64, timeout: 2000 });

/** Sends `requests` requests, `inFlight` at a time. */
export async function measure(
  pid: number,
  { requests, inFlight, sendOne }: { requests: number; inFlight: number; sendOne: SendOne },
): Promise<Measured> {
  const times: number[] = [];
  let left = requests;
  const startedAt = cpuMicrosOf(pid);
  await Promise.all(
    Array.from({ length: inFlight }, async (_, worker) => {
      while (left-- > 0) {
        const sent = performance.now();
        await sendOne(worker);
        times.push(performance.now() - sent);
      }
    }),
  );
  const endedAt = cpuMicrosOf(pid);
  times.sort((a, b) => a - b);
  return {
    cpuMicros: startedAt === undefined || endedAt === undefined ? undefined : (endedAt - startedAt) / requests,
    p50Ms: times[Math.floor(times.length * 0.5)]!,
    p99Ms: times[Math.floor(times.length * 0.99)]!,
  };
}

/** Sends a request. Each worker has its own client address, which a proxy header names. */
export function sendRequest(
  url: string,
  worker: number,
  { headers, form, json }: { headers?: Record<string, string>; form?: Record<string, string>; json?: object } = {},
): Promise<BenchResponse> {
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
    const sentRequest = request(url, { agent, method: body ? 'POST' : 'GET', headers: sent }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk) => {
        text += chunk;
      });
      response.once('end', () => resolve({ status: response.statusCode!, headers: response.headers, body: text }));
    });
    sentRequest.once('error', reject).end(body);
  });
}

/** User and system time of all threads of a process (proc_pid_stat(5), fields 14 and 15). */
function cpuMicrosOf(pid: number): number | undefined {
  if (platform() !== 'linux') return undefined;
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return ((Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND) * 1e6;
}
