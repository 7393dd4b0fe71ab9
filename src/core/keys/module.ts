/** Creates the services of this folder: signing keys and JWTs. */
import type { Base } from '../../base/base.js';
import type { Audit } from '../audit/audit.js';
import type { Resources } from '../resources/resources.js';
import { createJwts } from './jwts.js';
import { createKeys } from './keys.js';

interface Deps {
  audit: Audit;
  resources: Pick<Resources, 'maxTokenSeconds'>;
  agentTokenSeconds: number;
}

export async function createKeyModule(base: Base, { audit, resources, agentTokenSeconds }: Deps) {
  const { issuer, keyRotationSeconds: rotationSeconds, accessTokenSeconds } = base.config;
  const signatureSeconds = () => Math.max(accessTokenSeconds, agentTokenSeconds, resources.maxTokenSeconds());
  const keys = await createKeys({ ...base, audit, rotationSeconds, signatureSeconds });
  return { keys, jwts: createJwts({ ...base, issuer, keys }) };
}
