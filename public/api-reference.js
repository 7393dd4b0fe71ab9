// Shows the OpenAPI document. Credentials that the user enters are not stored, and are sent to this
// origin only.
(() => {
  const reference = document.getElementById('reference');
  const dark = window.matchMedia('(prefers-color-scheme: dark)');
  const follow = () => document.documentElement.classList.toggle('dark-mode', dark.matches);
  dark.addEventListener('change', follow);
  follow();

  window.SwaggerUIBundle({
    domNode: reference,
    url: reference.dataset.document,
    deepLinking: true,
    defaultModelsExpandDepth: 0,
    displayRequestDuration: true,
    persistAuthorization: false,
    queryConfigEnabled: false, // a link must not load another document
    supportedSubmitMethods: ['get', 'post', 'put', 'patch', 'delete'],
    validatorUrl: null,
    requestInterceptor(request) {
      if (new URL(request.url, location.href).origin !== location.origin)
        throw new Error('This page loads nothing from other origins.');
      return request;
    },
  });
})();
