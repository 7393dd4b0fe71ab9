/** Creates the services of this folder: sessions, their tokens and known locations. */
import type { Base } from '../../base/base.js';
import type { Audit } from '../audit/audit.js';
import type { Jwts } from '../keys/jwts.js';
import type { OAuthStorage } from '../oauth-storage/oauth-storage.js';
import { createKnownLocations } from './known-locations.js';
import { createSessions } from './sessions.js';
import { createTokens } from './tokens.js';

interface Deps {
  audit: Audit;
  oauthStorage: OAuthStorage;
  jwts: Jwts;
}

export function createSessionModule(base: Base, deps: Deps) {
  const { issuer, sessionSeconds: idleSeconds, sessionMaxSeconds: maxSeconds } = base.config;
  const { sessions: maxSessions } = base.config.accountLimits;
  const { accessTokenSeconds: accessSeconds, refreshTokenSeconds: refreshSeconds } = base.config;
  const sessions = createSessions({ ...base, ...deps, idleSeconds, maxSeconds, maxSessions });
  const tokens = createTokens({ ...base, ...deps, issuer, sessions, accessSeconds, refreshSeconds });
  return { sessions, tokens, knownLocations: createKnownLocations(base) };
}
