/** Settings of the rate limits, in requests per minute. */

import { defineTopic } from './base-config.js';
import { integer } from './setting.js';

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
      'Requests per minute from one address with an invalid credential.',
    ),
    validate: integer(
      'RATE_LIMIT_VALIDATE',
      REQUESTS_RANGE,
      6000,
      'Requests per minute from one address to the validation endpoint of the tools API.',
    ),
  },
  resolve: (rateLimits) => ({ rateLimits }),
});
