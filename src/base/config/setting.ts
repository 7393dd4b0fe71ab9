/**
 * Functions that define settings. A setting is a zod schema that parses the text of one environment
 * variable. Its definition has the name, default and description of the variable.
 */
import { z } from 'zod';
import { parseDuration } from '../../kit/duration.js';

export interface SettingDefinition {
  /** The name of the environment variable. */
  variable: string;
  /** One or more sentences for operators. */
  description: string;
  /** A phrase for the valid values: "an integer from 1 to 64". Undefined for free text. */
  type: string | undefined;
  /** The text that is parsed if the variable is not set. */
  defaultValue: string;
  /** Secrets are never logged or quoted in messages. `<variable>_FILE` can name a file instead. */
  isSecret: boolean;
}

export type Setting<Value = unknown> = z.ZodType<Value, string>;

export const settingDefinitions = z.registry<SettingDefinition>();

/** Defines text with a default. */
export function string(variable: string, defaultValue: string, description: string): Setting<string> {
  return define(z.string(), { variable, defaultValue, description });
}

/** Defines text; undefined if the variable is not set. */
export function optional(variable: string, description: string): Setting<string | undefined> {
  return define(emptyAsUndefined, { variable, description });
}

/** Defines secret text; undefined if the variable is not set. */
export function secret(variable: string, description: string): Setting<string | undefined> {
  return define(emptyAsUndefined, { variable, description, isSecret: true });
}

/** Defines a comma-separated list. Empty items are ignored. */
export function list(variable: string, description: string): Setting<string[]> {
  const items = z.string().transform((text) =>
    text
      .split(',')
      .map((item) => item.trim())
      .filter(Boolean),
  );
  return define(items, { variable, description, type: 'a comma-separated list' });
}

/** Defines an integer from `min` to `max`. */
export function integer(
  variable: string,
  [min, max]: [min: number, max: number],
  defaultValue: number,
  description: string,
): Setting<number> {
  const type = `an integer from ${min} to ${max}`;
  const parse = (text: string) => {
    const number = Number(text);
    if (!/^\d+$/.test(text) || number < min || number > max) throw new Error(`must be ${type} (got "${text}")`);
    return number;
  };
  return define(toSchema(parse), { variable, description, type, defaultValue: String(defaultValue) });
}

/** Defines one of several words. */
export function oneOf<const Value extends string>(
  variable: string,
  values: readonly Value[],
  defaultValue: Value,
  description: string,
): Setting<Value> {
  const type = `${values.slice(0, -1).join(', ')} or ${values.at(-1)}`;
  const error = ({ input }: { input: unknown }) => `must be ${type} (got "${input}")`;
  return define(z.enum(values, { error }) as unknown as Setting<Value>, { variable, description, type, defaultValue });
}

/** Defines a duration and parses it to seconds. `zero`: whether 0s is valid. */
export function duration(
  variable: string,
  defaultValue: string,
  description: string,
  { zero = false } = {},
): Setting<number> {
  const type = `a duration such as 30s, 15m, 8h, 7d or 2w${zero ? '' : ', longer than 0s'}`;
  const parse = (text: string) => {
    const seconds = parseDuration(text);
    if (!(zero ? seconds >= 0 : seconds > 0)) throw new Error(`must be ${type} (got "${text}")`);
    return seconds;
  };
  return define(toSchema(parse), { variable, description, type, defaultValue });
}

type DefinitionInput = Pick<SettingDefinition, 'variable' | 'description'> & Partial<SettingDefinition>;

/**
 * Defines a value with its own parser. `parse` throws an `Error` whose message follows the name of
 * the variable: "is not JSON". The message must not quote a secret.
 */
export function parsed<Value>(parse: (text: string) => Value, definition: DefinitionInput): Setting<Value> {
  const { type } = definition;
  return define(toSchema(parse, type && `; allowed: ${type}`), definition);
}

/** Returns a schema whose error message is that of `parse`, with a suffix. */
function toSchema<Value>(parse: (text: string) => Value, suffix = ''): Setting<Value> {
  return z.string().transform((text, context) => {
    try {
      return parse(text);
    } catch (error) {
      context.addIssue(`${(error as Error).message}${suffix}`);
      return z.NEVER;
    }
  });
}

const emptyAsUndefined = z.string().transform((text) => text || undefined);

function define<Value>(
  schema: Setting<Value>,
  { variable, description, type, defaultValue = '', isSecret = false }: DefinitionInput,
): Setting<Value> {
  // A copy, because a schema can have only one definition.
  const setting = schema.clone() as Setting<Value>;
  settingDefinitions.add(setting, { variable, description, type, defaultValue, isSecret });
  return setting;
}
