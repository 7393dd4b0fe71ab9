/** Reads the settings of a topic from environment variables and from files that they name. */
import { readFileSync } from 'node:fs';
import { OLD_MEMBERS, OLD_NAMES } from './old-names.js';
import { type Setting, type SettingInfo, settingInfo } from './setting.js';
import type { Settings, Values } from './topic.js';

export type Environment = Record<string, string | undefined>;

export interface Report {
  /** Messages that stop the start. */
  problems: string[];
  /** Messages about names that will stop working. */
  warnings: string[];
}

/**
 * Returns the values of all settings of a topic. A setting with a problem gets its default, so that
 * the problems of the others are found too.
 */
export function readValues<S extends Settings>(settings: S, environment: Environment, report: Report): Values<S> {
  const values = Object.entries(settings).map(([name, setting]) => [name, readValue(setting, environment, report)]);
  return Object.fromEntries(values) as Values<S>;
}

function readValue(setting: Setting, environment: Environment, report: Report): unknown {
  const info = settingInfo.get(setting)!;
  const result = setting.safeParse(textOf(info, environment, report) || info.defaultText);
  if (result.success) return result.data;
  const { message } = result.error.issues[0]!;
  report.problems.push(`${info.variable} ${message}${info.type ? `; allowed: ${info.type}` : ''}`);
  return setting.parse(info.defaultText);
}

/** Returns the text of a setting, or undefined when it is not set. An empty one is not set. */
function textOf({ variable, isSecret }: SettingInfo, environment: Environment, report: Report): string | undefined {
  const get = (name: string) => environment[name]?.trim() || undefined;
  const file = isSecret ? get(`${variable}_FILE`) : undefined;
  if (file && get(variable)) report.problems.push(`${variable} and ${variable}_FILE are both set; set one of them`);
  const text = file ? readSecretFile(`${variable}_FILE`, file, report) : get(variable);
  warnOfOldMembers(variable, text, report);
  const old = Object.keys(OLD_NAMES).find((name) => OLD_NAMES[name] === variable);
  const oldText = old && get(old);
  if (!oldText) return text;
  report.warnings.push(
    text
      ? `${old} is ignored because ${variable} is set: remove it`
      : `${old} is the old name of ${variable} and will stop working in the next release: rename it`,
  );
  return text ?? oldText;
}

function warnOfOldMembers(variable: string, text: string | undefined, { warnings }: Report): void {
  for (const [old, current] of Object.entries(OLD_MEMBERS[variable] ?? {}))
    if (text?.includes(`"${old}"`))
      warnings.push(
        `${variable}: "${old}" is the old name of "${current}" and will stop working in the next release: rename it`,
      );
}

/** Reads a secret that Docker or Kubernetes mounted as a file, without its trailing newline. */
function readSecretFile(variable: string, path: string, { problems }: Report): string | undefined {
  try {
    const text = readFileSync(path, 'utf8').replace(/[\r\n]+$/, '');
    if (text.trim() === '') problems.push(`${variable}: ${path} is empty`);
    return text;
  } catch (error) {
    problems.push(`${variable} cannot be read: ${(error as Error).message}`);
    return undefined;
  }
}
