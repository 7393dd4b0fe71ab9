/** Settings of the rate limits. */

import { LIMITS, type LimitName } from '../limits.js';
import { defineTopic } from './base-config.js';
import { integer, parsed } from './setting.js';

const REQUESTS_RANGE: [number, number] = [0, 1_000_000];

export const rateLimits = defineTopic({
  title: 'Rate limits',
  settings: {
    anonymous: integer(
      'RATE_LIMIT_ANONYMOUS',
      REQUESTS_RANGE,
      20,
      'Requests per minute from one address without a credential. 0: no limit, as for the other rate limits.',
    ),
    human: integer('RATE_LIMIT_HUMAN', REQUESTS_RANGE, 200, 'Requests per minute of one user.'),
    agent: integer('RATE_LIMIT_AGENT', REQUESTS_RANGE, 1000, 'Requests per minute of one agent, client or API key.'),
    default: integer(
      'RATE_LIMIT_DEFAULT',
      REQUESTS_RANGE,
      100,
      'Requests per minute from one address with an invalid credential, or that refresh a session.',
    ),
    validate: integer(
      'RATE_LIMIT_VALIDATE',
      REQUESTS_RANGE,
      6000,
      'Requests per minute from one address to the validation endpoint of the tools API.',
    ),
    limits: parsed(readLimits, {
      variable: 'LIMITS',
      description: 'Other numbers of events for the limits below: `sign-in-address=300,client-registration=20`.',
    }),
  },
  resolve: ({ limits, ...rateLimits }) => ({ rateLimits, limits }),
});

/** Reads `name=events,…`. Throws for an unknown name or an invalid number. */
function readLimits(text: string): Partial<Record<LimitName, number>> {
  const items = text.split(',').map((item) => item.trim());
  return Object.fromEntries(items.filter(Boolean).map(readLimit));
}

function readLimit(item: string): [string, number] {
  const [, name = '', digits] = /^([\w-]+)=(\d{1,7})$/.exec(item) ?? [];
  if (!Object.hasOwn(LIMITS, name)) throw new Error(`must name limits of docs/configuration.md (got "${item}")`);
  if (Number(digits) === 0) throw new Error(`must allow at least one event (got "${item}")`);
  return [name, Number(digits)];
}
