/**
 * The settings: the only place that reads the environment. Every fault is told at once, by the name
 * of its variable.
 */
import { existsSync } from 'node:fs';
import { type Config, resolveConfig } from './config/resolve.js';
import { settings, type Values } from './config/settings.js';
import { validateConfig } from './config/validate.js';

export type { Config } from './config/resolve.js';

/** What is wrong with the settings: one sentence each, every one with the name of its variable. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  constructor(readonly errors: string[]) {
    super(`The settings are not usable:\n${errors.map((problem) => `  - ${problem}`).join('\n')}`);
  }
}

/**
 * Adds what the file `.env` in the working directory says, where there is one. What is set already
 * stands.
 */
export function loadEnvFile(): void {
  if (existsSync('.env')) process.loadEnvFile('.env');
}

/** Reads the settings. Throws a ConfigError with all faults at once. */
export function readConfig(environment: Record<string, string | undefined> = process.env): Config {
  const errors: string[] = [];
  const values = {} as Record<string, unknown>;
  for (const [name, setting] of Object.entries(settings)) {
    const text = environment[name]?.trim() || setting.defaultValue;
    try {
      values[name] = setting.parse(text);
    } catch (error) {
      errors.push(`${name} ${(error as Error).message}; allowed: ${setting.expected}`);
      values[name] = setting.parse(setting.defaultValue);
    }
  }
  const config = resolveConfig(values as Values);
  errors.push(...validateConfig(config, values as Values));
  if (errors.length > 0) throw new ConfigError(errors);
  return config;
}
