// A program that runs oidc-provider with a minimal adapter and nothing else.
import { generateKeyPairSync } from 'node:crypto';
import { Redis } from 'ioredis';
import Provider, { type Adapter, type AdapterPayload, errors } from 'oidc-provider';
import pg from 'pg';

const { PORT, REDIS_URL, REDIS_PREFIX = '', DATABASE_URL, EMAIL, REDIRECT_URI } = process.env;
const { CLIENT_ID = '', CLIENT_SECRET = '' } = process.env;
const ACCOUNT = 'account-1';

const adapterFor = REDIS_URL ? onRedis(new Redis(REDIS_URL)) : await onPostgresql(DATABASE_URL!);
const claims = {
  sub: ACCOUNT,
  name: 'Jane Developer',
  given_name: 'Jane',
  family_name: 'Developer',
  email: EMAIL,
  email_verified: true,
};
const provider = new Provider(`http://localhost:${PORT}`, {
  adapter: adapterFor,
  jwks: { keys: [privateJwk('RS256'), privateJwk('ES256')] },
  scopes: ['openid', 'offline_access', 'profile', 'email'],
  claims: { profile: ['name', 'given_name', 'family_name'], email: ['email', 'email_verified'] },
  conformIdTokenClaims: false,
  cookies: { keys: ['x'.repeat(32)] },
  rotateRefreshToken: true,
  issueRefreshToken: async (_ctx, client) => client.grantTypeAllowed('refresh_token'),
  expiresWithSession: async () => false,
  pkce: { required: () => true },
  ttl: {
    AccessToken: 28_800,
    AuthorizationCode: 60,
    ClientCredentials: 28_800,
    Grant: 2_592_000,
    IdToken: 3600,
    Interaction: 3600,
    RefreshToken: 604_800,
    Session: 1_209_600,
  },
  findAccount: async () => ({ accountId: ACCOUNT, claims: async () => claims }),
  interactions: { url: (_ctx, { uid }) => `/interaction/${uid}` },
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    introspection: { enabled: true },
    revocation: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: async () => undefined as unknown as string,
      useGrantedResource: async () => false,
      getResourceServerInfo: async (_ctx, audience) => ({
        scope: 'memory:read',
        audience,
        accessTokenFormat: 'jwt',
        jwt: { sign: { alg: 'ES256' } },
      }),
    },
  },
});

/** Signs in and consents without asking. */
provider.use(async (ctx, next) => {
  if (!ctx.path.startsWith('/interaction/')) return next();
  const { prompt, params } = await provider.interactionDetails(ctx.req, ctx.res);
  ctx.respond = false;
  if (prompt.name === 'login') {
    await provider.interactionFinished(ctx.req, ctx.res, { login: { accountId: ACCOUNT } });
    return;
  }
  const grant = new provider.Grant({ accountId: ACCOUNT, clientId: String(params.client_id) });
  grant.addOIDCScope('openid profile email');
  const grantId = await grant.save();
  await provider.interactionFinished(ctx.req, ctx.res, { consent: { grantId } }, { mergeWithLastSubmission: true });
});

await adapterFor('Client').upsert(
  CLIENT_ID,
  {
    client_id: CLIENT_ID,
    client_secret: CLIENT_SECRET,
    grant_types: ['authorization_code', 'refresh_token', 'client_credentials'],
    redirect_uris: [REDIRECT_URI!],
    response_types: ['code'],
  } as AdapterPayload,
  0,
);
provider.listen(Number(PORT), () => process.stdout.write('listening\n'));

/**
 * Stores each artifact as a hash, and the keys of a grant in a list. One script checks and
 * consumes, so that a code or token is redeemed once.
 */
function onRedis(redis: Redis): (name: string) => Adapter {
  const CONSUME = `
    if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
    return redis.call('HSETNX', KEYS[1], 'consumed', ARGV[1])`;
  const byUid = (uid: string) => `${REDIS_PREFIX}uid:${uid}`;
  const ofGrant = (grantId: string) => `${REDIS_PREFIX}grant:${grantId}`;

  return (name) => {
    const keyOf = (id: string) => `${REDIS_PREFIX}${name}:${id}`;
    return {
      async upsert(id, payload, seconds = 0) {
        const batch = redis.multi().hset(keyOf(id), 'payload', JSON.stringify(payload));
        if (seconds) batch.expire(keyOf(id), seconds);
        if (payload.uid && name === 'Session') batch.set(byUid(payload.uid), id, 'EX', seconds);
        if (payload.grantId && name !== 'Session') {
          batch.rpush(ofGrant(payload.grantId), keyOf(id)).expire(ofGrant(payload.grantId), seconds);
        }
        await batch.exec();
      },
      async find(id) {
        const { payload, consumed } = await redis.hgetall(keyOf(id));
        if (!payload) return undefined;
        return { ...JSON.parse(payload), ...(consumed && { consumed: Number(consumed) }) };
      },
      async findByUid(uid) {
        const id = await redis.get(byUid(uid));
        return id ? this.find(id) : undefined;
      },
      findByUserCode: async () => undefined,
      async consume(id) {
        const done = await redis.eval(CONSUME, 1, keyOf(id), Math.floor(Date.now() / 1000));
        if (done !== 1) throw new errors.InvalidGrant('already used');
      },
      async destroy(id) {
        await redis.del(keyOf(id));
      },
      async revokeByGrantId(grantId) {
        const keys = await redis.lrange(ofGrant(grantId), 0, -1);
        await redis.del(...keys, ofGrant(grantId));
      },
    };
  };
}

/** Uses one table and prepared statements. */
async function onPostgresql(connectionString: string): Promise<(name: string) => Adapter> {
  const pool = new pg.Pool({ connectionString, max: 10 });
  await pool.query(`
    CREATE TABLE artifact (
      name text, id text, payload jsonb NOT NULL, uid text, grant_id text, consumed_at timestamptz, expires_at timestamptz,
      PRIMARY KEY (name, id)
    );
    CREATE INDEX ON artifact (uid);
    CREATE INDEX ON artifact (grant_id)`);
  const run = (name: string, text: string, values: unknown[]) => pool.query({ name, text, values });
  const toPayload = ({ rows: [row] }: { rows: { payload: AdapterPayload; consumed_at: Date | null }[] }) => {
    if (!row) return undefined;
    return { ...row.payload, ...(row.consumed_at && { consumed: Math.floor(row.consumed_at.getTime() / 1000) }) };
  };
  const ACTIVE = '(expires_at IS NULL OR expires_at > now())';
  const FIND = `SELECT payload, consumed_at FROM artifact WHERE name = $1 AND ${ACTIVE} AND`;

  return (name) => ({
    async upsert(id, payload, seconds) {
      const expiresAt = seconds ? new Date(Date.now() + seconds * 1000) : null;
      await run(
        'upsert',
        `INSERT INTO artifact (name, id, payload, uid, grant_id, expires_at) VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (name, id) DO UPDATE SET payload = EXCLUDED.payload, expires_at = EXCLUDED.expires_at`,
        [name, id, JSON.stringify(payload), payload.uid ?? null, payload.grantId ?? null, expiresAt],
      );
    },
    find: async (id) => toPayload(await run('find', `${FIND} id = $2`, [name, id])),
    findByUid: async (uid) => toPayload(await run('find-by-uid', `${FIND} uid = $2`, [name, uid])),
    findByUserCode: async () => undefined,
    async consume(id) {
      const text = `UPDATE artifact SET consumed_at = now() WHERE name = $1 AND id = $2 AND consumed_at IS NULL AND ${ACTIVE}`;
      if ((await run('consume', text, [name, id])).rowCount !== 1) throw new errors.InvalidGrant('already used');
    },
    async destroy(id) {
      await run('destroy', 'DELETE FROM artifact WHERE name = $1 AND id = $2', [name, id]);
    },
    async revokeByGrantId(grantId) {
      await run('revoke', 'DELETE FROM artifact WHERE name = $1 AND grant_id = $2', [name, grantId]);
    },
  });
}

function privateJwk(alg: 'RS256' | 'ES256') {
  const { privateKey } =
    alg === 'RS256'
      ? generateKeyPairSync('rsa', { modulusLength: 2048 })
      : generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return { ...privateKey.export({ format: 'jwk' }), use: 'sig', alg, kid: alg } as { kty: 'RSA' };
}
