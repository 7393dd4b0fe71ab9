// What we rely on of the protocol engine's insides was read in one version of its code.
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';

const read = (file: string) => readFileSync(new URL(`../../../${file}`, import.meta.url), 'utf8');

it('relies on the insides of the engine of the very version that is installed', () => {
  const pinned = JSON.parse(read('package.json')).dependencies['oidc-provider'];
  expect(JSON.parse(read('node_modules/oidc-provider/package.json')).version).toBe(pinned);
  expect(read('src/web/oidc/provider-internals.ts')).toContain(`in ${pinned}, the version that package.json pins`);
});
