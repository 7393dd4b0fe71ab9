/** Reads the settings of a topic from environment variables, and from the files that they name. */
import { readFileSync } from 'node:fs';
import { DEPRECATED_MEMBERS, DEPRECATED_NAMES } from './deprecated-names.js';
import { type Setting, type SettingDefinition, settingDefinitions } from './setting.js';
import type { Settings, Values } from './topic.js';

export type EnvironmentVariables = Record<string, string | undefined>;

export interface ConfigDiagnostics {
  /** Messages that prevent the start. */
  errors: string[];
  /** Messages about deprecated names. */
  warnings: string[];
}

/**
 * Returns the values of all settings of a topic, and adds errors and warnings to `diagnostics`. An
 * invalid setting falls back to its default, so that all errors are reported at once.
 */
export function readValues<S extends Settings>(
  settings: S,
  environment: EnvironmentVariables,
  diagnostics: ConfigDiagnostics,
): Values<S> {
  const values = Object.entries(settings).map(([name, setting]) => [
    name,
    readValue(setting, environment, diagnostics),
  ]);
  return Object.fromEntries(values) as Values<S>;
}

function readValue(setting: Setting, environment: EnvironmentVariables, diagnostics: ConfigDiagnostics): unknown {
  const definition = settingDefinitions.get(setting)!;
  const result = setting.safeParse(readRawValue(definition, environment, diagnostics) || definition.defaultValue);
  if (result.success) return result.data;
  diagnostics.errors.push(`${definition.variable} ${result.error.issues[0]!.message}`);
  return setting.parse(definition.defaultValue);
}

/** Returns the text of a setting. Undefined if it is not set or empty. */
function readRawValue(
  { variable, isSecret }: SettingDefinition,
  environment: EnvironmentVariables,
  diagnostics: ConfigDiagnostics,
): string | undefined {
  const getVariable = (name: string) => environment[name]?.trim() || undefined;
  const path = isSecret ? getVariable(`${variable}_FILE`) : undefined;
  if (path && getVariable(variable)) {
    diagnostics.errors.push(`${variable} and ${variable}_FILE are both set; set only one`);
  }
  const text = path ? readSecretFile(`${variable}_FILE`, path, diagnostics) : getVariable(variable);
  warnAboutDeprecatedMembers(variable, text, diagnostics);
  const deprecatedName = Object.keys(DEPRECATED_NAMES).find((name) => DEPRECATED_NAMES[name] === variable);
  const deprecatedText = deprecatedName && getVariable(deprecatedName);
  if (!deprecatedText) return text;
  diagnostics.warnings.push(
    text
      ? `${deprecatedName} is deprecated and ignored because ${variable} is set; remove ${deprecatedName}`
      : `${deprecatedName} is deprecated and will be removed in the next release; use ${variable} instead`,
  );
  return text ?? deprecatedText;
}

function warnAboutDeprecatedMembers(variable: string, text: string | undefined, { warnings }: ConfigDiagnostics): void {
  for (const [deprecated, current] of Object.entries(DEPRECATED_MEMBERS[variable] ?? {})) {
    if (!text?.includes(`"${deprecated}"`)) continue;
    warnings.push(
      `${variable}: "${deprecated}" is deprecated and will be removed in the next release; use "${current}" instead`,
    );
  }
}

/** Reads a secret that Docker or Kubernetes mounted as a file, without its trailing newline. */
function readSecretFile(variable: string, path: string, { errors }: ConfigDiagnostics): string | undefined {
  try {
    const text = readFileSync(path, 'utf8').replace(/[\r\n]+$/, '');
    if (text.trim() === '') errors.push(`${variable}: the file ${path} is empty`);
    return text;
  } catch (error) {
    errors.push(`${variable}: cannot read the file: ${(error as Error).message}`);
    return undefined;
  }
}
