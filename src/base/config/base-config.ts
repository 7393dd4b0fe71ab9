/** The configuration of the server and its stores, on which all other topics can depend. */
import type { ServerConfig } from './server.js';
import type { StoresConfig } from './stores.js';
import { createTopicDefiner } from './topic.js';

export type BaseConfig = ServerConfig & StoresConfig;

/** Defines a topic that depends on `BaseConfig`. */
export const defineTopic = createTopicDefiner<BaseConfig>();
