// An app that lives in the browser: code flow with PKCE and no secret. Its tokens stay in this tab.
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
show('who', user ? `Hello ${user.profile.email}` : 'Nobody is signed in.');
if (user) show('sign-out').onclick = () => manager.signoutRedirect();
else show('sign-in').onclick = () => manager.signinRedirect();
