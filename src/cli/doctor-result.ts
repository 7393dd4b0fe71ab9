/** The results of the checks of `signet doctor`. */
import { statSync } from 'node:fs';

export interface CheckResult {
  status: 'ok' | 'warn' | 'fail';
  /** The subject of the check. */
  about: string;
  text: string;
}

const GROUP_OR_OTHER_BITS = 0o077;

/** Creates the result of a check that succeeded. */
export const ok = (about: string, text: string): CheckResult => ({ status: 'ok', about, text });
/** Creates the result of a check with a problem that does not stop the server. */
export const warn = (about: string, text: string): CheckResult => ({ status: 'warn', about, text });
/** Creates the result of a check that failed. */
export const fail = (about: string, text: string): CheckResult => ({ status: 'fail', about, text });

/** Reports whether the mode gives other users access to a file or folder. */
export const hasAccessForOthers = (path: string) => (statSync(path).mode & GROUP_OR_OTHER_BITS) !== 0;
