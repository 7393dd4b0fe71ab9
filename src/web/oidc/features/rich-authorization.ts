/**
 * What an agent says of the one thing that it wants to do: an authorization detail (RFC 9396) of a
 * type of ours.
 */
import { errors } from 'oidc-provider';
import { z } from 'zod';
import { isReadable, isStorable } from '../../../base/text.js';
import type { AgentAction } from '../../../core/agent-authorization/approvals.js';

export const AGENT_ACTION = 'agent_action';

const MAX_DETAILS = 5;
const MAX_PARAMETERS = 20;

/** Every character of it is shown to the person, and none of it hides. */
const words = (maxLength: number) =>
  z.string().max(maxLength).refine(isStorable).refine(isReadable, 'it must be text that a person can read');

/** Members that nobody knows are refused: what is not shown is not allowed. */
const Action = z.strictObject({
  type: z.literal(AGENT_ACTION),
  actions: z.array(words(100)).min(1).max(5),
  identifier: words(200).optional(),
  datatypes: z.array(words(100)).min(1).max(5).optional(),
  locations: z.array(z.string().max(2000)).length(1).optional(),
  parameters: z
    .record(words(50), z.union([words(200), z.number(), z.boolean()]))
    .refine((parameters) => Object.keys(parameters).length <= MAX_PARAMETERS, `there can be ${MAX_PARAMETERS} at most`)
    .optional(),
});

/** Throws `invalid_authorization_details`. */
export function parseAction(detail: unknown): AgentAction {
  const parsed = Action.safeParse(detail);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new errors.InvalidAuthorizationDetails(`${issue?.path.join('.') || AGENT_ACTION}: ${issue?.message}`);
}

/** All of them, for one API, however it is spelt. The provider has made sure that it is a list. */
export function parseActions(text: string, spellings: string[]): AgentAction[] {
  const details = (JSON.parse(text) as unknown[]).map(parseAction);
  if (details.length > MAX_DETAILS) {
    throw new errors.InvalidAuthorizationDetails(`there can be ${MAX_DETAILS} authorization details at most`);
  }
  if (details.some(({ locations }) => locations && !spellings.includes(locations[0]!))) {
    throw new errors.InvalidAuthorizationDetails('locations must be the resource that is asked for');
  }
  return details;
}
