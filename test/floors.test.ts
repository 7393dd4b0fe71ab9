// The layers of the source: kit and base are independent of the domain, core of HTTP, and the
// audiences in web of each other.
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { describe, expect, it } from 'vitest';

const SRC = new URL('../src/', import.meta.url).pathname;
const AUDIENCES = ['oidc', 'sign-in', 'account', 'api', 'developers', 'tools'];
const TOP_LEVEL = ['app.ts', 'main.ts', 'cli.ts'];

interface Import {
  from: string;
  /** A package, or the path of a file of ours. */
  to: string;
  relative: boolean;
}

const files = readdirSync(SRC, { recursive: true, encoding: 'utf8' }).filter(
  (file) => file.endsWith('.ts') && !file.startsWith('generated/'),
);
const textOf = (file: string) => readFileSync(join(SRC, file), 'utf8');
const imports = files.flatMap(importsOf);
const layerOf = (file: string) => file.split('/')[0]!;
const moduleOf = (file: string) => file.split('/').slice(0, 2).join('/');

function importsOf(from: string): Import[] {
  const statements = textOf(from).matchAll(
    /^(?:import|export)\b[^;'"]*?\bfrom '([^']+)'|^import '([^']+)'|\bimport\('([^']+)'\)/gm,
  );
  return [...statements].map(([, named, bare, dynamic]) => {
    const to = (named ?? bare ?? dynamic)!;
    if (!to.startsWith('.')) return { from, to, relative: false };
    return { from, to: relative(SRC, join(SRC, dirname(from), to)).replace(/\.js$/, '.ts'), relative: true };
  });
}

const errors = (wrong: (imported: Import) => unknown) => imports.filter(wrong).map(({ from, to }) => `${from} → ${to}`);
const isOurs = (imported: Import) => imported.relative && !imported.to.startsWith('generated/');

describe('the layers', () => {
  it('import only files that exist', () => {
    expect(files.length).toBeGreaterThan(60);
    expect(imports.length).toBeGreaterThan(200);
    const missing = errors((imported) => isOurs(imported) && !files.includes(imported.to));
    expect(missing).toEqual([]);
  });

  it('import no higher layer', () => {
    const allowed: Record<string, string[]> = {
      kit: ['kit'],
      base: ['base', 'kit'],
      core: ['base', 'kit', 'core'],
      web: ['base', 'kit', 'core', 'web'],
    };
    expect(
      errors(
        (imported) =>
          isOurs(imported) &&
          allowed[layerOf(imported.from)] &&
          !allowed[layerOf(imported.from)]!.includes(layerOf(imported.to)),
      ),
    ).toEqual([]);
    expect(files.filter((file) => !file.includes('/') && !TOP_LEVEL.includes(file))).toEqual([]);
  });

  it('keep the database out of web', () => {
    expect(errors(({ from, to }) => from.startsWith('web/') && /^base\/(db|redis)/.test(to))).toEqual([]);
  });

  it('keep audiences apart', () => {
    const audienceOf = (file: string) => AUDIENCES.find((audience) => file.startsWith(`web/${audience}/`));
    const crossing = ({ from, to }: Import) =>
      from.startsWith('web/') && audienceOf(to) && audienceOf(to) !== audienceOf(from);
    expect(errors(crossing)).toEqual(['web/home.ts → web/oidc/paths.ts']); // the home page links to the protocol's paths
  });

  it('create each core module after those that it uses', () => {
    const text = textOf('core/core.ts');
    const created = new Map<string, number>();
    for (const [, name, file] of text.matchAll(/import \{ (?:\w+, )*(create\w+) \} from '\.\/([^']+)\.js'/g)) {
      created.set(`core/${file}.ts`, text.search(new RegExp(`= (?:await )?${name}\\(`)));
    }
    expect(created.size).toBeGreaterThan(8);
    expect([...created].filter(([, at]) => at < 0)).toEqual([]);
    /** The position at which a file, or the last file of its module, is created in core.ts. */
    const positionOf = (file: string) =>
      created.get(file) ??
      Math.max(0, ...[...created].filter(([other]) => moduleOf(other) === moduleOf(file)).map(([, at]) => at));
    const upward = ({ from, to }: Import) =>
      from.startsWith('core/') &&
      to.startsWith('core/') &&
      from !== 'core/core.ts' &&
      moduleOf(from) !== moduleOf(to) &&
      positionOf(to) > positionOf(from);
    expect(errors(upward)).toEqual([]);
  });

  it('keep HTTP out of core, and oidc-provider in web/oidc', () => {
    expect(
      errors(({ from, to }) => from.startsWith('core/') && /^(koa|@koa|ejs|oidc-provider)(\/|$)/.test(to)),
    ).toEqual([]);
    expect(errors(({ from, to }) => /^oidc-provider(\/|$)/.test(to) && !from.startsWith('web/oidc/'))).toEqual([]);
    expect(errors(({ from, to }) => to.startsWith('generated/') && !from.startsWith('base/db/'))).toEqual([]);
  });

  it('read the environment in one place', () => {
    // The kit's `env` reads the environment of the program that imports the kit.
    expect(files.filter((file) => /process\??\.env\b/.test(textOf(file)))).toEqual(['base/config.ts', 'kit/config.ts']);
  });

  it('let the kit run on every runtime, with few dependencies', () => {
    // Certificates need node:crypto.
    const kit = files.filter(
      (file) => file.startsWith('kit/') && !['kit/certificate.ts', 'kit/spiffe.ts'].includes(file),
    );
    const runsAnywhere = /^(asn1js|jose|@noble\/hashes\/\w+\.js)$|\.ts$/;
    expect(errors(({ from, to }) => kit.includes(from) && !runsAnywhere.test(to))).toEqual([]);
    expect(errors(({ from, to }) => kit.includes(from) && /^kit\/(certificate|spiffe)\.ts$/.test(to))).toEqual([]);
    expect(kit.filter((file) => /\bBuffer\b/.test(textOf(file)))).toEqual([]);
  });

  it('have no barrels, and endings on every relative import', () => {
    expect(files.filter((file) => /(^|\/)index\.ts$/.test(file) && file !== 'kit/index.ts')).toEqual([]);
    expect(errors((imported) => imported.relative && !/\.(ts|js|json)$/.test(imported.to))).toEqual([]);
    expect(files.filter((file) => /from '\.[^']*(?<!\.js)'/.test(textOf(file)))).toEqual([]);
  });
});
