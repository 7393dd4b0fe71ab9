/** All topics, in the order of .env.example and docs/configuration.md. */
import { accounts } from './accounts.js';
import { certificates } from './certificates.js';
import { federation } from './federation.js';
import { mail } from './mail.js';
import { rateLimits } from './rate-limits.js';
import { registration } from './registration.js';
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
  federation,
  upstream,
  trustedIssuers,
];

/** Resolves one topic: reads its values, collects its problems. */
export type UseTopic = <S extends Settings, Resolved, Context>(
  topic: Topic<S, Resolved, Context>,
  context: Context,
) => Resolved;

/** Resolves all topics into one configuration. The topics of the first two lines come first. */
export function resolveTopics(use: UseTopic) {
  const serverConfig = use(server, undefined);
  const instance = { ...serverConfig, ...use(stores, serverConfig) };
  return {
    ...instance,
    ...use(certificates, instance),
    ...use(mail, instance),
    ...use(accounts, instance),
    ...use(tokens, instance),
    ...use(registration, instance),
    ...use(rateLimits, instance),
    ...use(federation, instance),
    ...use(upstream, instance),
    ...use(trustedIssuers, instance),
  };
}

/** Returns the documentation of all settings, by topic. */
export function describeSettings(): { title: string; settings: SettingDefinition[] }[] {
  return TOPICS.map(({ title, settings }) => ({
    title,
    settings: Object.values<Setting>(settings).map((setting) => settingDefinitions.get(setting)!),
  }));
}
