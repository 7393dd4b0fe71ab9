/** The configuration of a service as one typed value. */
import type { AuthConfig } from './auth-middleware.js';
import { parseDurationOrThrow } from './duration.js';
import { defineRateLimit, type RateLimitConfig } from './rate-limit.js';

export interface KitConfig {
  app?: { name: string; [more: string]: unknown };
  auth?: Partial<AuthConfig> & { providers?: { type: string; [more: string]: unknown }[] };
  agent?: { rateLimit?: RateLimitConfig; [more: string]: unknown };
  [more: string]: unknown;
}

/** Returns the configuration. Throws a TypeError that names the first invalid duration or limit. */
export function defineConfig<Config extends KitConfig>(config: Config): Config {
  const { auth, agent } = config;
  if (auth?.session?.maxAge !== undefined) parseDurationOrThrow('auth.session.maxAge', auth.session.maxAge);
  if (agent?.rateLimit) defineRateLimit(agent.rateLimit);
  return config;
}

/**
 * Returns an environment variable, or an empty string if it is not set. Functions of the kit that
 * need a secret throw if it is empty.
 */
export function env(name: string): string {
  return globalThis.process?.env?.[name] ?? '';
}
