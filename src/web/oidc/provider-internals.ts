/**
 * What we rely on of the insides of oidc-provider, beyond what it documents: so it is in 9.13.3,
 * the version that package.json pins, and whoever takes another one compares its code with this
 * file first. `provider.ts` lists by whom it is changed.
 */
import type Provider from 'oidc-provider';
import type { AccessToken, Client, Grant, KoaContextWithOIDC, Session } from 'oidc-provider';
import type { Payload } from '../../core/oauth-storage/store.js';

/**
 * A provider as it is inside. Its classes are its own: what is changed here changes for no other
 * provider.
 */
export interface ProviderInternals {
  Client: ClientClass;
  Session: SessionClass;
  AccessToken: AccessTokenClass;
  BackchannelAuthenticationRequest: Finder<BackchannelRequest>;
  ReplayDetection: { unique(issuer: string, jti: string, expiresAt: number): Promise<boolean> };
  /** Of it one is made for each request: `ctx.oidc`. A getter; see `replaceContext`. */
  readonly OIDCContext: ContextClass;
  /**
   * Each looks at every answer of the provider's own routes before it is sent, and may change it.
   */
  readonly answered: AnswerLook[];
}

/** Without a promise where there is nothing to wait for. */
export type AnswerLook = (ctx: KoaContextWithOIDC) => Promise<void> | void;

export type BackchannelRequest = InstanceType<Provider['BackchannelAuthenticationRequest']>;

/** A client that wants to be told when a login has ended. */
export type LogoutClient = Client & { backchannelLogout(accountId: string, sid: string): Promise<void> };

/** Browser sessions carry these marks for the time of one request. */
export type ProviderSession = Session & { touched?: boolean; new?: boolean; destroyed?: boolean; oldId?: string };

/** What the provider throws and tells; some of these have some of it. */
export type ProviderError = Error & {
  error?: string;
  error_description?: string;
  error_detail?: string;
  /** False where the answer must not be sent to the client. */
  allow_redirect?: boolean;
  /** What was typed in, when it was no user code. */
  userCode?: string;
};

interface Finder<Found> {
  find(value: string, options?: object): Promise<Found | undefined>;
}

interface ClientClass extends Finder<Client> {
  prototype: {
    compareClientSecret(this: Client, actual: string): boolean | Promise<boolean>;
    redirectUriAllowed(this: Client, value: string): boolean;
    postLogoutRedirectUriAllowed(this: Client, value: string): boolean;
  };
}

interface SessionClass {
  /** A getter, which is replaced by defining it anew. */
  readonly IN_PAYLOAD: string[];
  get(ctx: KoaContextWithOIDC): Promise<ProviderSession>;
  instantiate(payload?: object): ProviderSession;
  prototype: {
    sidFor(this: ProviderSession, clientId: string): string;
    /** Called at the end of every request that came with a session, changed or not. */
    save(this: ProviderSession, ttl: number): Promise<unknown>;
    persist(this: ProviderSession): Promise<unknown>;
  };
}

interface AccessTokenClass extends Finder<AccessToken> {
  new (payload: object): AccessToken & { destroy(): Promise<void> };
}

type ContextClass = new (ctx: KoaContextWithOIDC) => ProviderContext;

/** `ctx.oidc`, as far as we go into it. */
interface ProviderContext {
  route: string;
  client?: Client;
  /** This and the next are assigned once, when they have been read. */
  params?: Record<string, unknown>;
  body?: Record<string, unknown>;
  /** Called with whatever the request turns out to be about. */
  entity(name: string, value: unknown): void;
}

/** Once for each provider. */
export function internalsOf(provider: Provider): ProviderInternals {
  const answered: AnswerLook[] = [];
  // One layer for all of them: a layer is paid for with every request.
  provider.use(async function lookAtAnswer(ctx, next) {
    await next();
    for (const look of answered) {
      const looking = look(ctx as KoaContextWithOIDC);
      if (looking) await looking;
    }
  });
  return Object.assign(provider as unknown as ProviderInternals, { answered });
}

/** `Context` extends the class that stands there: several of us replace it. */
export function replaceContext(engine: ProviderInternals, Context: ContextClass): void {
  Object.defineProperty(engine, 'OIDCContext', { value: Context, configurable: true });
}

/** What the provider would store of a grant. */
export async function payloadOf(grant: Grant): Promise<Payload> {
  const { payload } = await (
    grant as Grant & { getValueAndPayload(): Promise<{ payload: Payload }> }
  ).getValueAndPayload();
  return payload;
}
