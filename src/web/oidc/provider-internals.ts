/**
 * The undocumented internals of oidc-provider that this module relies on. They are described as
 * they are in 9.13.3, the version that package.json pins. Before an update, compare the new version
 * with this file and with `patches/README.md`.
 */
import type Provider from 'oidc-provider';
import type { AccessToken, Client, Grant, KoaContextWithOIDC, Session } from 'oidc-provider';
import type { Payload } from '../../core/oauth-storage/stores.js';

/** The undocumented members of a provider. Each provider has its own classes to patch. */
export interface ProviderInternals {
  Client: ClientClass;
  Session: SessionClass;
  AccessToken: AccessTokenClass;
  BackchannelAuthenticationRequest: Finder<BackchannelRequest>;
  ReplayDetection: { unique(issuer: string, jti: string, expiresAt: number): Promise<boolean> };
  /** The class of `ctx.oidc`, created for each request. A getter; see `replaceContext`. */
  readonly OIDCContext: ContextClass;
  /** Called with every response of the provider's own routes before it is sent; can change it. */
  readonly responseHooks: ResponseHook[];
  /** Called with the parameters of every request that has any; can change or reject them. */
  readonly paramsHooks: ParamsHook[];
}

/** Returns a promise only if it must wait, because hooks run for every response. */
export type ResponseHook = (ctx: KoaContextWithOIDC) => Promise<void> | void;

export type ParamsHook = (params: Record<string, unknown>, context: ProviderContext) => void;

export type BackchannelRequest = InstanceType<Provider['BackchannelAuthenticationRequest']>;

/** A client that can receive back-channel logout tokens. */
export type LogoutClient = Client & { backchannelLogout(accountId: string, sid: string): Promise<void> };

/** A browser session of the provider, with its state during one request. */
export type ProviderSession = Session & { touched?: boolean; new?: boolean; destroyed?: boolean; oldId?: string };

/** An error that the provider throws or passes to its listeners. */
export type ProviderError = Error & {
  error?: string;
  error_description?: string;
  error_detail?: string;
  /** False if the error must not be sent to the redirect URI. */
  allow_redirect?: boolean;
  /** The user's input, if it is not a valid user code. */
  userCode?: string;
};

interface Finder<Model> {
  find(value: string, options?: object): Promise<Model | undefined>;
}

interface ClientClass extends Finder<Client> {
  new (metadata: object): Client;
  prototype: {
    compareClientSecret(this: Client, actual: string): boolean | Promise<boolean>;
    redirectUriAllowed(this: Client, value: string): boolean;
    postLogoutRedirectUriAllowed(this: Client, value: string): boolean;
  };
}

/** The public keys of a client. `oct` keys are in another store. */
export interface ClientKeyStore extends Iterable<object> {
  add(this: ClientKeyStore, key: object): void;
  /** Returns all keys that could have signed a JWT with this header. */
  selectForVerify(this: ClientKeyStore, options: { alg: string; kid?: unknown }): object[];
}

interface SessionClass {
  /** A getter; replaced by redefining the property. */
  readonly IN_PAYLOAD: string[];
  get(ctx: KoaContextWithOIDC): Promise<ProviderSession>;
  instantiate(payload?: object): ProviderSession;
  prototype: {
    sidFor(this: ProviderSession, clientId: string): string;
    /** Called at the end of every request with a session, whether it has changed or not. */
    save(this: ProviderSession, ttl: number): Promise<unknown>;
    persist(this: ProviderSession): Promise<unknown>;
  };
}

interface AccessTokenClass extends Finder<AccessToken> {
  new (payload: object): AccessToken & { destroy(): Promise<void> };
}

type ContextClass = new (ctx: KoaContextWithOIDC) => ProviderContext;

/** The members of `ctx.oidc` that patches override. */
export interface ProviderContext {
  route: string;
  client?: Client;
  /** Assigned once, when the parameters are known. See `paramsHooks`. */
  params?: Record<string, unknown>;
  /** Assigned once, when the body is parsed. */
  body?: Record<string, unknown>;
  /** Called when the request's client, session, token or grant is known. */
  entity(name: string, value: unknown): void;
}

/** Returns the internals of a provider and installs its hooks. Call it once per provider. */
export function internalsOf(provider: Provider): ProviderInternals {
  const responseHooks: ResponseHook[] = [];
  const paramsHooks: ParamsHook[] = [];
  // One middleware runs all hooks, because each middleware adds time to every request.
  provider.use(async function runResponseHooks(ctx, next) {
    await next();
    for (const hook of responseHooks) {
      const pending = hook(ctx as KoaContextWithOIDC);
      if (pending) await pending;
    }
  });
  const internals = Object.assign(provider as unknown as ProviderInternals, { responseHooks, paramsHooks });
  installParamsHooks(internals);
  return internals;
}

function installParamsHooks(internals: ProviderInternals): void {
  class HookedContext extends internals.OIDCContext {
    #params: Record<string, unknown> | undefined;

    override get params() {
      return this.#params;
    }

    override set params(params: Record<string, unknown> | undefined) {
      this.#params = params; // before the hooks, because the response to their errors needs them
      if (params) for (const hook of internals.paramsHooks) hook(params, this);
    }
  }
  replaceContext(internals, HookedContext);
}

/**
 * Replaces the class of `ctx.oidc`. `Context` must extend the current class, which others patched.
 */
export function replaceContext(internals: ProviderInternals, Context: ContextClass): void {
  Object.defineProperty(internals, 'OIDCContext', { value: Context, configurable: true });
}

/** Returns the payload that the provider stores for a grant. */
export async function payloadOf(grant: Grant): Promise<Payload> {
  const { payload } = await (
    grant as Grant & { getValueAndPayload(): Promise<{ payload: Payload }> }
  ).getValueAndPayload();
  return payload;
}
