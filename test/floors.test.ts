// The floors of the house: which file may import which. kit and base know nothing of us, core no
// HTTP, a door no other door.
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { describe, expect, it } from 'vitest';

const SRC = new URL('../src/', import.meta.url).pathname;
const DOORS = ['oidc', 'sign-in', 'account', 'api', 'developers', 'tools'];
const ROOF = ['app.ts', 'main.ts', 'cli.ts'];

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
const floorOf = (file: string) => file.split('/')[0]!;
const roomOf = (file: string) => file.split('/').slice(0, 2).join('/');

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

const errors = (wrong: (arrow: Import) => unknown) => imports.filter(wrong).map(({ from, to }) => `${from} → ${to}`);
const ours = (arrow: Import) => arrow.relative && !arrow.to.startsWith('generated/');

describe('the floors', () => {
  it('are read from files that are there', () => {
    expect(files.length).toBeGreaterThan(60);
    expect(imports.length).toBeGreaterThan(200);
    const missing = errors((arrow) => ours(arrow) && !files.includes(arrow.to));
    expect(missing).toEqual([]);
  });

  it('carry no arrow that runs up', () => {
    const allowed: Record<string, string[]> = {
      kit: ['kit'],
      base: ['base', 'kit'],
      core: ['base', 'kit', 'core'],
      web: ['base', 'kit', 'core', 'web'],
    };
    expect(
      errors(
        (arrow) =>
          ours(arrow) && allowed[floorOf(arrow.from)] && !allowed[floorOf(arrow.from)]!.includes(floorOf(arrow.to)),
      ),
    ).toEqual([]);
    expect(files.filter((file) => !file.includes('/') && !ROOF.includes(file))).toEqual([]);
  });

  it('keep the database out of the doors', () => {
    expect(errors(({ from, to }) => from.startsWith('web/') && /^base\/(db|redis)/.test(to))).toEqual([]);
  });

  it('let a door be itself', () => {
    const doorOf = (file: string) => DOORS.find((door) => file.startsWith(`web/${door}/`));
    const crossing = ({ from, to }: Import) => from.startsWith('web/') && doorOf(to) && doorOf(to) !== doorOf(from);
    expect(errors(crossing)).toEqual(['web/home.ts → web/oidc/paths.ts']); // the addresses of the protocol, and no more
  });

  it('build each room of core above those that it uses', () => {
    const text = textOf('core/core.ts');
    const built = new Map<string, number>();
    for (const [, name, file] of text.matchAll(/import \{ (?:\w+, )*(create\w+) \} from '\.\/([^']+)\.js'/g)) {
      built.set(`core/${file}.ts`, text.search(new RegExp(`= (?:await )?${name}\\(`)));
    }
    expect(built.size).toBeGreaterThan(8);
    expect([...built].filter(([, at]) => at < 0)).toEqual([]);
    /** Where a file is built, or the whole of its room: the last of it. */
    const placeOf = (file: string) =>
      built.get(file) ??
      Math.max(0, ...[...built].filter(([other]) => roomOf(other) === roomOf(file)).map(([, at]) => at));
    const upward = ({ from, to }: Import) =>
      from.startsWith('core/') &&
      to.startsWith('core/') &&
      from !== 'core/core.ts' &&
      roomOf(from) !== roomOf(to) &&
      placeOf(to) > placeOf(from);
    expect(errors(upward)).toEqual([]);
  });

  it('keep HTTP out of core, and the protocol engine in its door', () => {
    expect(
      errors(({ from, to }) => from.startsWith('core/') && /^(koa|@koa|ejs|oidc-provider)(\/|$)/.test(to)),
    ).toEqual([]);
    expect(errors(({ from, to }) => /^oidc-provider(\/|$)/.test(to) && !from.startsWith('web/oidc/'))).toEqual([]);
    expect(errors(({ from, to }) => to.startsWith('generated/') && !from.startsWith('base/db/'))).toEqual([]);
  });

  it('read the environment in one place', () => {
    // The kit's `env` reads that of whoever imports it.
    expect(files.filter((file) => /process\??\.env\b/.test(textOf(file)))).toEqual(['base/config.ts', 'kit/config.ts']);
  });

  it('let the kit run anywhere, with little beside it', () => {
    // Certificates are checked by Node, for those who run on it.
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
    expect(errors((arrow) => arrow.relative && !/\.(ts|js|json)$/.test(arrow.to))).toEqual([]);
    expect(files.filter((file) => /from '\.[^']*(?<!\.js)'/.test(textOf(file)))).toEqual([]);
  });
});
