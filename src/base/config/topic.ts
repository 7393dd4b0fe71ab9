/** A topic is a group of settings with the rules that hold between them. */
import type { z } from 'zod';
import type { Setting } from './setting.js';

export type Settings = Record<string, Setting>;

export type Values<S extends Settings> = { [Name in keyof S]: z.output<S[Name]> };

/** A message about values that do not fit together, or something falsy. */
export type Problem = string | false | undefined;

export interface Topic<S extends Settings = Settings, Resolved = unknown, Context = unknown> {
  /** A heading for the documentation. */
  title: string;
  /** The keys are the names that the code uses. */
  settings: S;
  /** Returns the topic's part of the configuration. Never throws: `check` reports problems. */
  resolve(values: Values<S>, context: Context): Resolved;
  /**
   * Returns the problems that no single setting shows. `config` includes what `resolve` returned.
   */
  check?(values: Values<S>, config: Context & Resolved): Problem[];
}

/**
 * Returns a function that infers the types of a topic. `Context` is the part of the configuration
 * that its topics depend on.
 */
export const createTopicDefiner =
  <Context>() =>
  <S extends Settings, Resolved>(topic: Topic<S, Resolved, Context>): Topic<S, Resolved, Context> =>
    topic;

/** The part of the configuration that a topic resolves to. */
export type ResolvedBy<T> = T extends Topic<infer _S, infer Resolved, infer _Context> ? Resolved : never;
