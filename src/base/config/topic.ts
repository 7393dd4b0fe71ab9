/** A topic is a group of settings with the rules that hold between them. */
import type { z } from 'zod';
import type { Setting } from './setting.js';

export type Settings = Record<string, Setting>;

export type Values<S extends Settings> = { [Name in keyof S]: z.output<S[Name]> };

/** An error message, or a falsy value if there is no error. */
export type CheckResult = string | false | undefined;

export interface Topic<S extends Settings = Settings, Resolved = unknown, Context = unknown> {
  /** A heading for the documentation. */
  title: string;
  /** Settings by the names that the code uses. */
  settings: S;
  /** Returns the topic's part of the configuration. Never throws: `check` reports errors. */
  resolve(values: Values<S>, context: Context): Resolved;
  /**
   * Returns errors about invalid values and about settings that contradict each other. `config` is
   * the context with the result of `resolve`.
   */
  check?(values: Values<S>, config: Context & Resolved): CheckResult[];
}

/**
 * Returns a function that defines a topic. `Context` is the part of the configuration on which the
 * topic depends. Curried, because TypeScript cannot infer the other type arguments if one is given.
 */
export const createTopicDefiner =
  <Context>() =>
  <S extends Settings, Resolved>(topic: Topic<S, Resolved, Context>): Topic<S, Resolved, Context> =>
    topic;

/** The part of the configuration that a topic resolves to. */
export type ResolvedBy<T> = T extends Topic<infer _S, infer Resolved, infer _Context> ? Resolved : never;
