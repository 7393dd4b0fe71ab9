// `npm run pack:kit [-- <folder>]`: creates dist-kit/, a separate package named signet, from the
// compiled src/kit. Publish it with `npm publish dist-kit`. Services that install it get none of
// the server's dependencies.
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const [PACKAGE_FOLDER = 'dist-kit'] = process.argv.slice(2);
const DEPENDENCIES = ['@noble/hashes', 'asn1js', 'jose'];
const SOURCE_MAP = /\n\/\/# sourceMappingURL=.*\s*$/;

packKit();

function packKit() {
  rmSync(PACKAGE_FOLDER, { recursive: true, force: true });
  for (const file of readdirSync('dist/kit', { recursive: true })) {
    if (!/\.(js|d\.ts)$/.test(file)) continue;
    const text = readFileSync(join('dist/kit', file), 'utf8').replace(SOURCE_MAP, '\n');
    write(join('kit', file), text);
    if (file.endsWith('.d.ts')) write(join('kit', file.replace(/\.d\.ts$/, '.d.cts')), toCommonJsTypes(text));
  }
  write('package.json', `${JSON.stringify(manifest(), null, 2)}\n`);
  cpSync('docs/kit.md', join(PACKAGE_FOLDER, 'README.md'));
  cpSync('LICENSE', join(PACKAGE_FOLDER, 'LICENSE'));
}

/**
 * Converts type declarations for `require`. TypeScript must import jose's types as an ES module.
 */
function toCommonJsTypes(types) {
  return types
    .replace(/(from '\..*?)\.js'/g, "$1.cjs'")
    .replace(
      /import (?:type )?\{ (?:type )?(\w+) \} from 'jose';/g,
      "import type { $1 } from 'jose' with { 'resolution-mode': 'import' };",
    );
}

/**
 * Returns package.json. `import` and `require` load the same ES modules (possible since Node.js
 * 20.19), because a second set would contain every error class twice. The types exist twice,
 * because TypeScript derives the module format from their file name.
 */
function manifest() {
  const { name, version, license, engines, dependencies } = JSON.parse(readFileSync('package.json', 'utf8'));
  const adapters = readdirSync('dist/kit/adapters').flatMap((file) => /^(\w+)\.js$/.exec(file)?.[1] ?? []);
  return {
    name,
    version,
    description: 'Authentication and authorization for services: Signet access tokens, sessions, API keys, policies.',
    license,
    type: 'module',
    sideEffects: false,
    engines,
    exports: {
      './kit': entry('./kit/index'),
      './kit/spiffe': entry('./kit/spiffe'),
      ...Object.fromEntries(adapters.map((adapter) => [`./kit/${adapter}`, entry(`./kit/adapters/${adapter}`)])),
      './package.json': './package.json',
    },
    dependencies: Object.fromEntries(DEPENDENCIES.map((dependency) => [dependency, dependencies[dependency]])),
  };
}

function entry(path) {
  return {
    import: { types: `${path}.d.ts`, default: `${path}.js` },
    require: { types: `${path}.d.cts`, default: `${path}.js` },
    default: `${path}.js`,
  };
}

function write(path, text) {
  const file = join(PACKAGE_FOLDER, path);
  mkdirSync(join(file, '..'), { recursive: true });
  writeFileSync(file, text);
}
