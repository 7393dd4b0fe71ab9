/** A revocation is answered with nothing (RFC 7009, 2.2), and nothing has no type: called text/plain, libraries stumble over it. */
import type { Engine } from '../provider-internals.js';

export function leaveEmptyAnswersUntyped(engine: Engine): void {
  engine.answered.push(function leaveUntyped(ctx) {
    if (ctx.body === '') ctx.remove('Content-Type');
  });
}
