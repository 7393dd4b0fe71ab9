// The internals of oidc-provider are documented for exactly one version.
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';

const read = (file: string) => readFileSync(new URL(`../../../${file}`, import.meta.url), 'utf8');

it('relies on the internals of the installed version of oidc-provider', () => {
  const pinned = JSON.parse(read('package.json')).dependencies['oidc-provider'];
  expect(JSON.parse(read('node_modules/oidc-provider/package.json')).version).toBe(pinned);
  expect(read('src/web/oidc/provider-internals.ts')).toContain(`in ${pinned}, the version that package.json pins`);
});
