/** The configuration that all topics except the first two can depend on. */
import type { ServerConfig } from './server.js';
import type { StoresConfig } from './stores.js';
import { topicDefiner } from './topic.js';

export type Instance = ServerConfig & StoresConfig;

export const defineTopic = topicDefiner<Instance>();
