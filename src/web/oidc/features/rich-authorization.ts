/** The authorization details type (RFC 9396) by which an agent describes an action for approval. */
import { errors } from 'oidc-provider';
import { z } from 'zod';
import { isReadable, isStorable } from '../../../base/text.js';
import type { AgentAction } from '../../../core/agent-authorization/approval.js';

export const AGENT_ACTION = 'agent_action';

const MAX_DETAILS = 5;
const MAX_PARAMETERS = 20;

/** Describes text that the user sees in full, so it has no invisible characters. */
const shownText = (maxLength: number) =>
  z.string().max(maxLength).refine(isStorable).refine(isReadable, 'must be readable text');

/** Rejects unknown members, because the user would not see them. */
const Action = z.strictObject({
  type: z.literal(AGENT_ACTION),
  actions: z.array(shownText(100)).min(1).max(5),
  identifier: shownText(200).optional(),
  datatypes: z.array(shownText(100)).min(1).max(5).optional(),
  locations: z.array(z.string().max(2000)).length(1).optional(),
  parameters: z
    .record(shownText(50), z.union([shownText(200), z.number(), z.boolean()]))
    .refine(
      (parameters) => Object.keys(parameters).length <= MAX_PARAMETERS,
      `must have at most ${MAX_PARAMETERS} members`,
    )
    .optional(),
});

/** Parses one detail. Throws `invalid_authorization_details`. */
export function parseAction(detail: unknown): AgentAction {
  const parsed = Action.safeParse(detail);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new errors.InvalidAuthorizationDetails(`${issue?.path.join('.') || AGENT_ACTION}: ${issue?.message}`);
}

/**
 * Parses `authorization_details`, which is a list: the provider has checked that. `identifiers` are
 * the spellings of the requested API's identifier. Throws `invalid_authorization_details`.
 */
export function parseActions(text: string, identifiers: string[]): AgentAction[] {
  const details = (JSON.parse(text) as unknown[]).map(parseAction);
  if (details.length > MAX_DETAILS) {
    throw new errors.InvalidAuthorizationDetails(`authorization_details must have at most ${MAX_DETAILS} entries`);
  }
  if (details.some(({ locations }) => locations && !identifiers.includes(locations[0]!))) {
    throw new errors.InvalidAuthorizationDetails('locations must be the requested resource');
  }
  return details;
}
