/**
 * The configuration: the only place that reads the environment. A setting is one line in the file
 * of its topic in config/. All problems are reported at once, by the names of the variables.
 */
import { existsSync } from 'node:fs';
import { type ConfigDiagnostics, readValues } from './config/read.js';
import { resolveTopics } from './config/topics.js';

export type Config = ReturnType<typeof readConfig>;

/** Thrown when settings are not valid. Each message starts with the name of a variable. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  constructor(readonly errors: string[]) {
    super(`The settings are not valid:\n${errors.map((problem) => `  - ${problem}`).join('\n')}`);
  }
}

/**
 * Loads the file `.env` of the working directory, if there is one. Variables that are already set
 * are kept.
 */
export function loadEnvFile(): void {
  if (existsSync('.env')) process.loadEnvFile('.env');
}

/** Returns the configuration. Throws a `ConfigError` with all problems. */
export function readConfig(environment: Record<string, string | undefined> = process.env) {
  const report: ConfigDiagnostics = { errors: [], warnings: [] };
  const config = resolveTopics((topic, context) => {
    const values = readValues(topic.settings, environment, report);
    const resolved = topic.resolve(values, context);
    const problems = topic.check?.(values, { ...context, ...resolved }) ?? [];
    report.errors.push(...problems.filter((problem): problem is string => Boolean(problem)));
    return resolved;
  });
  if (report.errors.length > 0) throw new ConfigError(report.errors);
  /** `warnings` names settings that will stop working. */
  return { ...config, warnings: report.warnings };
}
