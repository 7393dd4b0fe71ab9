/** The configuration of a service, in one typed value. */
import type { AuthConfig } from './auth-middleware.js';
import { parseDurationOrThrow } from './duration.js';
import { defineRateLimit, type RateLimitConfig } from './rate-limit.js';

export interface KitConfig {
  app?: { name: string; [more: string]: unknown };
  auth?: Partial<AuthConfig> & { providers?: { type: string; [more: string]: unknown }[] };
  agent?: { rateLimit?: RateLimitConfig; [more: string]: unknown };
  [more: string]: unknown;
}

/**
 * The configuration itself, when its durations and limits are some; else a TypeError that says
 * which is not.
 */
export function defineConfig<Config extends KitConfig>(config: Config): Config {
  const { auth, agent } = config;
  if (auth?.session?.maxAge !== undefined) parseDurationOrThrow('auth.session.maxAge', auth.session.maxAge);
  if (agent?.rateLimit) defineRateLimit(agent.rateLimit);
  return config;
}

/**
 * An environment variable, or an empty string: what is needed has to be checked, and everything
 * here that needs a secret does.
 */
export function env(name: string): string {
  return globalThis.process?.env?.[name] ?? '';
}
