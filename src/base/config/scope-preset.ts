/** Reads the file that defines the scopes and agent capabilities of Signet's own API. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';

/** Descriptions by name, in the order in which clients and users see them. */
export interface ScopePreset {
  /** The scopes of a request without `scope`. */
  scopes: Record<string, string>;
  /** Scopes that can be granted to agents. A client must request them by name. */
  capabilities: Record<string, string>;
}

const DEFAULT_FILE = fileURLToPath(new URL('../../../presets/default.json', import.meta.url));
const NO_PRESET = 'none';
/** Scopes whose meaning a preset cannot change. */
const RESERVED_NAMES = ['openid', 'offline_access', 'profile', 'email', 'phone', 'address', 'admin', 'tools:validate'];
/** The `scope-token` of RFC 6749, section 3.3. */
const SCOPE_NAME = /^[\x21\x23-\x5b\x5d-\x7e]{1,200}$/;

const Descriptions = z
  .record(
    z
      .string()
      .regex(SCOPE_NAME, 'is not a scope name')
      .refine((name) => !RESERVED_NAMES.includes(name), 'is reserved'),
    z.string().trim().min(1, 'needs a description').max(300, 'has a description longer than 300 characters'),
  )
  .default({});
const Preset = z.strictObject({ scopes: Descriptions, capabilities: Descriptions });

/**
 * Returns the preset in the file at `path`, the built-in preset if `path` is empty, and an empty
 * preset if it is `none`. Throws an `Error` whose message follows the name of the setting.
 */
export function readScopePreset(path: string): ScopePreset {
  if (path === NO_PRESET) return { scopes: {}, capabilities: {} };
  const parsed = Preset.safeParse(readJson(path || DEFAULT_FILE));
  if (!parsed.success) throw new Error(`is not a valid preset: ${firstIssue(parsed.error)}`);
  const duplicate = Object.keys(parsed.data.scopes).find((name) => Object.hasOwn(parsed.data.capabilities, name));
  if (duplicate) throw new Error(`is not a valid preset: "${duplicate}" is both a scope and a capability`);
  return parsed.data;
}

function readJson(path: string): unknown {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new Error(`cannot be read: ${(error as Error).message}`);
  }
  try {
    return JSON.parse(text);
  } catch {
    throw new Error('is not JSON');
  }
}

/** Returns a message with the path of the invalid member: `scopes.a b is not a scope name`. */
function firstIssue(error: z.ZodError): string {
  const { path, message, ...issue } = error.issues[0]!;
  const reason = issue.code === 'invalid_key' ? (issue.issues[0]?.message ?? message) : message;
  return `${path.join('.')} ${reason}`.trim();
}
