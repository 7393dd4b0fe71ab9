/** Lists all topics, in the order of .env.example and docs/configuration.md. */
import { accountLimits } from './account-limits.js';
import { accounts } from './accounts.js';
import { certificates } from './certificates.js';
import { federation } from './federation.js';
import { mail } from './mail.js';
import { rateLimits } from './rate-limits.js';
import { registration } from './registration.js';
import { requestBounds } from './request-bounds.js';
import { server } from './server.js';
import { type Setting, type SettingDefinition, settingDefinitions } from './setting.js';
import { stores } from './stores.js';
import { tokens } from './tokens.js';
import type { Settings, Topic } from './topic.js';
import { trustedIssuers } from './trusted-issuers.js';
import { upstream } from './upstream.js';

const TOPICS = [
  server,
  stores,
  certificates,
  mail,
  accounts,
  tokens,
  registration,
  rateLimits,
  accountLimits,
  requestBounds,
  federation,
  upstream,
  trustedIssuers,
];

/** Reads, checks and resolves one topic. */
export type ResolveTopic = <S extends Settings, Resolved, Context>(
  topic: Topic<S, Resolved, Context>,
  context: Context,
) => Resolved;

/**
 * Resolves all topics into one configuration. The server and the stores come first, because the
 * other topics depend on them.
 */
export function resolveTopics(resolve: ResolveTopic) {
  const serverConfig = resolve(server, undefined);
  const baseConfig = { ...serverConfig, ...resolve(stores, serverConfig) };
  return {
    ...baseConfig,
    ...resolve(certificates, baseConfig),
    ...resolve(mail, baseConfig),
    ...resolve(accounts, baseConfig),
    ...resolve(tokens, baseConfig),
    ...resolve(registration, baseConfig),
    ...resolve(rateLimits, baseConfig),
    ...resolve(accountLimits, baseConfig),
    ...resolve(requestBounds, baseConfig),
    ...resolve(federation, baseConfig),
    ...resolve(upstream, baseConfig),
    ...resolve(trustedIssuers, baseConfig),
  };
}

/** Returns the documentation of all settings, by topic. */
export function describeSettings(): { title: string; settings: SettingDefinition[] }[] {
  return TOPICS.map(({ title, settings }) => ({
    title,
    settings: Object.values<Setting>(settings).map((setting) => settingDefinitions.get(setting)!),
  }));
}
