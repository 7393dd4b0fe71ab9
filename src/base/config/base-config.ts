/** The configuration that all topics except the first two can depend on. */
import type { ServerConfig } from './server.js';
import type { StoresConfig } from './stores.js';
import { createTopicDefiner } from './topic.js';

export type BaseConfig = ServerConfig & StoresConfig;

export const defineTopic = createTopicDefiner<BaseConfig>();
