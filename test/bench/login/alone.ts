// A program that only computes bcrypt, with the concurrency of the server. Arguments: a hash, and
// the number of seconds.
import { availableParallelism } from 'node:os';
import bcrypt from 'bcrypt';
import { hashConcurrency } from '../../../dist/core/accounts/hashing-queue.js';

const [hash = '', seconds] = process.argv.slice(2);
const GUESS = 'x'.repeat(43); // the length of the input of Signet's own hashes

const spent = process.cpuUsage();
const began = performance.now();
const until = began + Number(seconds) * 1000;
let hashes = 0;
await Promise.all(
  Array.from({ length: hashConcurrency(availableParallelism(), 1) }, async () => {
    while (performance.now() < until) {
      await bcrypt.compare(GUESS, hash);
      hashes += 1;
    }
  }),
);
const { user, system } = process.cpuUsage(spent);
const took = (performance.now() - began) / 1000;
process.stdout.write(JSON.stringify({ perSecond: hashes / took, cpuMicros: (user + system) / hashes }));
