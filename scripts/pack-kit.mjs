// `npm run pack:kit [-- <folder>]`: makes dist-kit/, a package of its own named signet, out of what
// was compiled of src/kit; then `npm publish dist-kit`. The server's package stays what it is:
// whoever imports the kit installs jose and a hash library, and nothing of a server.
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const [TO = 'dist-kit'] = process.argv.slice(2);
const DEPENDENCIES = ['@noble/hashes', 'asn1js', 'jose'];
const SOURCE_MAP = /\n\/\/# sourceMappingURL=.*\s*$/;

packKit();

function packKit() {
  rmSync(TO, { recursive: true, force: true });
  for (const file of readdirSync('dist/kit', { recursive: true })) {
    if (!/\.(js|d\.ts)$/.test(file)) continue;
    const text = readFileSync(join('dist/kit', file), 'utf8').replace(SOURCE_MAP, '\n');
    write(join('kit', file), text);
    if (file.endsWith('.d.ts')) write(join('kit', file.replace(/\.d\.ts$/, '.d.cts')), forCommonJs(text));
  }
  write('package.json', `${JSON.stringify(manifest(), null, 2)}\n`);
  cpSync('docs/kit.md', join(TO, 'README.md'));
  cpSync('LICENSE', join(TO, 'LICENSE'));
}

/** The same types, found by `require`: those of jose are of an ES module whoever asks. */
function forCommonJs(types) {
  return types
    .replace(/(from '\..*?)\.js'/g, "$1.cjs'")
    .replace(
      /import (?:type )?\{ (?:type )?(\w+) \} from 'jose';/g,
      "import type { $1 } from 'jose' with { 'resolution-mode': 'import' };",
    );
}

/**
 * One set of modules for `import` and `require`: Node from 20.19 on requires ES modules, and two
 * sets would be two classes of each error. The types exist twice, because TypeScript judges by them
 * which kind of module it is.
 */
function manifest() {
  const { name, version, license, engines, dependencies } = JSON.parse(readFileSync('package.json', 'utf8'));
  const adapters = readdirSync('dist/kit/adapters').flatMap((file) => /^(\w+)\.js$/.exec(file)?.[1] ?? []);
  return {
    name,
    version,
    description:
      'Sessions, API keys, access tokens of Signet, policies and more, for services that protect themselves.',
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
  const file = join(TO, path);
  mkdirSync(join(file, '..'), { recursive: true });
  writeFileSync(file, text);
}
