// Gives each test of a file an empty data folder with settings for it, and kills the processes
// that the test started.
import { afterEach, beforeEach } from 'vitest';
import { killServers, type ProcessResult, run, temporaryFolder } from './server-process.js';

export function startFresh() {
  const folder = { path: '' };
  /** Environment variables. Reset before each test. */
  const settings: Record<string, string> = {};
  let remove = () => {};

  beforeEach(() => {
    const created = temporaryFolder();
    folder.path = created.path;
    remove = created.remove;
    for (const name of Object.keys(settings)) delete settings[name];
    // A free port, and a cheap password hash.
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

  /** Runs a command with `--json`. Rejects with its standard error if it fails. */
  async function json(...words: string[]) {
    const { code, stdout, stderr } = await cli(...words, '--json');
    if (code !== 0) throw new Error(stderr);
    return JSON.parse(stdout);
  }
}
