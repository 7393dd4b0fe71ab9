// A single-page app: authorization code flow with PKCE and no secret. Tokens are kept for this tab.
/* global oidc */
const config = await (await fetch('/config.json')).json();
const manager = new oidc.UserManager({
  ...config,
  redirect_uri: `${location.origin}/`,
  post_logout_redirect_uri: `${location.origin}/`,
  scope: 'openid profile email',
  userStore: new oidc.WebStorageStateStore({ store: sessionStorage }),
});

if (new URLSearchParams(location.search).has('state')) {
  await manager.signinCallback();
  history.replaceState(null, '', '/');
}
const user = await manager.getUser();

const show = (id, text) => {
  const element = document.getElementById(id);
  element.hidden = false;
  if (text) element.textContent = text;
  return element;
};
show('who', user ? `Hello ${user.profile.email}` : 'You are not signed in.');
if (user) show('sign-out').onclick = () => manager.signoutRedirect();
else show('sign-in').onclick = () => manager.signinRedirect();
