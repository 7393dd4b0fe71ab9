// Each test of a file begins as an operator does, with an empty folder and settings that lead
// there. What it started is killed after it.
import { afterEach, beforeEach } from 'vitest';
import { killServers, type ProcessResult, run, temporaryFolder } from './server-process.js';

export function startFresh() {
  const folder = { path: '' };
  /** For one test: what is set here is forgotten before the next. */
  const settings: Record<string, string> = {};
  let remove = () => {};

  beforeEach(() => {
    const made = temporaryFolder();
    folder.path = made.path;
    remove = made.remove;
    for (const name of Object.keys(settings)) delete settings[name];
    // A port that the system gives, and a cheap password hash.
    Object.assign(settings, { DATA_DIR: folder.path, PORT: '0', NODE_ENV: 'test', PASSWORD_HASH_COST: '4' });
  });
  afterEach(() => {
    killServers();
    remove();
  });
  return { folder, settings, cli, json };

  function cli(...words: string[]): Promise<ProcessResult> {
    return run('cli.js', words, settings);
  }

  /** What a command answers to programs. Rejects with what it wrote when it fails. */
  async function json(...words: string[]) {
    const { code, stdout, stderr } = await cli(...words, '--json');
    if (code !== 0) throw new Error(stderr);
    return JSON.parse(stdout);
  }
}
