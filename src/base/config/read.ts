/** Reads the settings of a topic from environment variables and from files that they name. */
import { readFileSync } from 'node:fs';
import { DEPRECATED_MEMBERS, DEPRECATED_NAMES } from './deprecated-names.js';
import { type Setting, type SettingDefinition, settingDefinitions } from './setting.js';
import type { Settings, Values } from './topic.js';

export type EnvironmentVariables = Record<string, string | undefined>;

export interface ConfigDiagnostics {
  /** Messages that stop the start. */
  errors: string[];
  /** Messages about names that will stop working. */
  warnings: string[];
}

/**
 * Returns the values of all settings of a topic. A setting with a problem gets its default, so that
 * the problems of the others are found too.
 */
export function readValues<S extends Settings>(
  settings: S,
  environment: EnvironmentVariables,
  report: ConfigDiagnostics,
): Values<S> {
  const values = Object.entries(settings).map(([name, setting]) => [name, readValue(setting, environment, report)]);
  return Object.fromEntries(values) as Values<S>;
}

function readValue(setting: Setting, environment: EnvironmentVariables, report: ConfigDiagnostics): unknown {
  const info = settingDefinitions.get(setting)!;
  const result = setting.safeParse(textOf(info, environment, report) || info.defaultValue);
  if (result.success) return result.data;
  const { message } = result.error.issues[0]!;
  report.errors.push(`${info.variable} ${message}${info.type ? `; allowed: ${info.type}` : ''}`);
  return setting.parse(info.defaultValue);
}

/** Returns the text of a setting, or undefined when it is not set. An empty one is not set. */
function textOf(
  { variable, isSecret }: SettingDefinition,
  environment: EnvironmentVariables,
  report: ConfigDiagnostics,
): string | undefined {
  const get = (name: string) => environment[name]?.trim() || undefined;
  const file = isSecret ? get(`${variable}_FILE`) : undefined;
  if (file && get(variable)) report.errors.push(`${variable} and ${variable}_FILE are both set; set one of them`);
  const text = file ? readSecretFile(`${variable}_FILE`, file, report) : get(variable);
  warnOfOldMembers(variable, text, report);
  const old = Object.keys(DEPRECATED_NAMES).find((name) => DEPRECATED_NAMES[name] === variable);
  const oldText = old && get(old);
  if (!oldText) return text;
  report.warnings.push(
    text
      ? `${old} is ignored because ${variable} is set: remove it`
      : `${old} is the old name of ${variable} and will stop working in the next release: rename it`,
  );
  return text ?? oldText;
}

function warnOfOldMembers(variable: string, text: string | undefined, { warnings }: ConfigDiagnostics): void {
  for (const [old, current] of Object.entries(DEPRECATED_MEMBERS[variable] ?? {}))
    if (text?.includes(`"${old}"`))
      warnings.push(
        `${variable}: "${old}" is the old name of "${current}" and will stop working in the next release: rename it`,
      );
}

/** Reads a secret that Docker or Kubernetes mounted as a file, without its trailing newline. */
function readSecretFile(variable: string, path: string, { errors }: ConfigDiagnostics): string | undefined {
  try {
    const text = readFileSync(path, 'utf8').replace(/[\r\n]+$/, '');
    if (text.trim() === '') errors.push(`${variable}: ${path} is empty`);
    return text;
  } catch (error) {
    errors.push(`${variable} cannot be read: ${(error as Error).message}`);
    return undefined;
  }
}
