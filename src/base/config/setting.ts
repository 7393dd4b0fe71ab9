/**
 * Defines settings. Each one is a zod schema that parses the text of one environment variable,
 * registered with its name, default and description.
 */
import { z } from 'zod';
import { parseDuration } from '../../kit/duration.js';

export interface SettingDefinition {
  /** The name of the environment variable. */
  variable: string;
  /** One or more sentences for operators. */
  description: string;
  /** A phrase for the values that the variable can hold. Undefined for free text. */
  type: string | undefined;
  /** The text that an unset variable stands for. */
  defaultValue: string;
  /** Never logged or repeated in messages. Can also be given as a file, by `<variable>_FILE`. */
  isSecret: boolean;
}

export type Setting<Value = unknown> = z.ZodType<Value, string>;

export const settingDefinitions = z.registry<SettingDefinition>();

/** Text with a default. */
export function string(variable: string, defaultValue: string, description: string): Setting<string> {
  return define(z.string(), { variable, defaultValue, description });
}

/** Text; undefined when the variable is not set. */
export function optional(variable: string, description: string): Setting<string | undefined> {
  return define(orUndefined, { variable, description });
}

/** Secret text; undefined when the variable is not set. */
export function secret(variable: string, description: string): Setting<string | undefined> {
  return define(orUndefined, { variable, description, isSecret: true });
}

/** Values separated by commas. Empty ones are dropped. */
export function list(variable: string, description: string): Setting<string[]> {
  const items = z.string().transform((text) =>
    text
      .split(',')
      .map((item) => item.trim())
      .filter(Boolean),
  );
  return define(items, { variable, description, type: 'a comma-separated list' });
}

/** A whole number from `min` to `max`. */
export function integer(
  variable: string,
  [min, max]: [min: number, max: number],
  defaultValue: number,
  description: string,
): Setting<number> {
  const parse = (text: string) => {
    const number = Number(text);
    if (!/^\d+$/.test(text) || number < min || number > max) throw new Error(`is "${text}"`);
    return number;
  };
  const type = `an integer from ${min} to ${max}`;
  return parsed(parse, { variable, description, type, defaultValue: String(defaultValue) });
}

/** One of several words. */
export function oneOf<const Value extends string>(
  variable: string,
  values: readonly Value[],
  defaultValue: Value,
  description: string,
): Setting<Value> {
  const schema = z.enum(values, { error: ({ input }) => `is "${input}"` }) as unknown as Setting<Value>;
  const type = values.length === 1 ? values[0] : `${values.slice(0, -1).join(', ')} or ${values.at(-1)}`;
  return define(schema, { variable, description, type, defaultValue });
}

/** A duration, in seconds. `zero` says whether 0s is accepted. */
export function duration(
  variable: string,
  defaultValue: string,
  description: string,
  { zero = false } = {},
): Setting<number> {
  const parse = (text: string) => {
    const seconds = parseDuration(text);
    if (!(zero ? seconds >= 0 : seconds > 0)) throw new Error(`is "${text}"`);
    return seconds;
  };
  const type = `a duration such as 30s, 15m, 8h, 7d or 2w${zero ? '' : ', longer than 0s'}`;
  return parsed(parse, { variable, description, type, defaultValue });
}

type Details = Pick<SettingDefinition, 'variable' | 'description'> & Partial<SettingDefinition>;

/**
 * A value with a parser of its own. `parse` throws an `Error` whose message continues the name of
 * the variable ("is not JSON"). It must not repeat the text of a secret.
 */
export function parsed<Value>(parse: (text: string) => Value, details: Details): Setting<Value> {
  const schema = z.string().transform((text, context) => {
    try {
      return parse(text);
    } catch (error) {
      context.addIssue((error as Error).message);
      return z.NEVER;
    }
  });
  return define(schema, details);
}

const orUndefined = z.string().transform((text) => text || undefined);

function define<Value>(
  schema: Setting<Value>,
  { type, defaultValue = '', isSecret = false, ...names }: Details,
): Setting<Value> {
  // A copy, because a schema can be registered only once.
  const copy = schema.clone() as Setting<Value>;
  settingDefinitions.add(copy, { type, defaultValue, isSecret, ...names });
  return copy;
}
