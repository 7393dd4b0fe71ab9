/** Types of oidc-provider's interactions, and the way back to one after a sign-in. */
import type { LoginRedirect } from '../../pages/login-redirect.js';
import type { Providers } from '../provider/provider.js';

export type Provider = Awaited<ReturnType<Providers['current']>>['main'];
export type Interaction = Awaited<ReturnType<Provider['interactionDetails']>>;
export type Client = NonNullable<Awaited<ReturnType<Provider['Client']['find']>>>;

/** Returns the query of the sign-in page: the user returns to this interaction afterwards. */
export const loginRedirectFor = (uid: string, { clientName }: Client): LoginRedirect => ({
  returnTo: `/interaction/${uid}`,
  appName: clientName,
});
