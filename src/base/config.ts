/**
 * Reads the configuration. No other file reads the environment. Each setting is defined in the file
 * of its topic in config/. All errors are reported at once, each with the name of its variable.
 */
import { existsSync } from 'node:fs';
import { type ConfigDiagnostics, type EnvironmentVariables, readValues } from './config/read.js';
import { resolveTopics } from './config/topics.js';

export type Config = ReturnType<typeof readConfig>;

/** Thrown when settings are not valid. Each message starts with the name of a variable. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  constructor(readonly errors: string[]) {
    super(`The settings are not valid:\n${errors.map((message) => `  - ${message}`).join('\n')}`);
  }
}

/**
 * Loads the file `.env` of the working directory, if it exists. It does not replace variables that
 * are already set.
 */
export function loadEnvFile(): void {
  if (existsSync('.env')) process.loadEnvFile('.env');
}

/**
 * Returns the configuration, with `warnings` about deprecated names. Throws a `ConfigError` with
 * all errors.
 */
export function readConfig(environment: EnvironmentVariables = process.env) {
  const diagnostics: ConfigDiagnostics = { errors: [], warnings: [] };
  const config = resolveTopics((topic, context) => {
    const values = readValues(topic.settings, environment, diagnostics);
    const resolved = topic.resolve(values, context);
    const errors = topic.check?.(values, { ...context, ...resolved }) ?? [];
    diagnostics.errors.push(...errors.filter((error): error is string => Boolean(error)));
    return resolved;
  });
  if (diagnostics.errors.length > 0) throw new ConfigError(diagnostics.errors);
  return { ...config, warnings: diagnostics.warnings };
}
