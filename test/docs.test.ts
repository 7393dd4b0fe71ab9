// Checks what the documents refer to: links, files, settings and routes.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';

const ROOT = join(import.meta.dirname, '..');
const README_MAX_LINES = 160;
const read = (file: string) => readFileSync(join(ROOT, file), 'utf8');
const folder = (path: string) =>
  readdirSync(join(ROOT, path), { recursive: true, encoding: 'utf8' }).map((file) => `${path}/${file}`);

const documents = ['README.md', 'CHANGELOG.md', 'CONTRIBUTING.md', 'SECURITY.md', ...folder('docs')].filter((file) =>
  file.endsWith('.md'),
);
/** The changelog also names what no longer exists. */
const current = documents.filter((file) => file !== 'CHANGELOG.md');
/** Pages about other programs name files and variables of those. */
const manual = current.filter((file) => !/docs\/(apps|kit|configuration)/.test(file));

/** Returns `document: match` for each match of `pattern` that `isWrong` reports. */
const findWrong = (files: string[], pattern: RegExp, isWrong: (match: string, file: string) => boolean) =>
  files.flatMap((file) =>
    [...read(file).matchAll(pattern)]
      .map((match) => match[1]!)
      .filter((match) => isWrong(match, file))
      .map((match) => `${file}: ${match}`),
  );

/** The anchor of a heading, as GitHub derives it. */
const anchorOf = (heading: string) =>
  heading
    .toLowerCase()
    .replace(/[^\w\- ]/g, '')
    .replaceAll(' ', '-');

describe('the documents', () => {
  it('keep the README short', () => {
    expect(read('README.md').split('\n').length).toBeLessThanOrEqual(README_MAX_LINES);
  });

  it('link to files and headings that exist', () => {
    const isBroken = (link: string, file: string) => {
      const [path, anchor] = link.split('#');
      const target = path ? join(dirname(file), path) : file;
      if (!existsSync(join(ROOT, target))) return true;
      if (!anchor) return false;
      const headings = [...read(target).matchAll(/^#+ (.*)$/gm)].map((match) => anchorOf(match[1]!));
      return !headings.includes(anchor);
    };
    expect(findWrong(documents, /\]\((?!https?:|mailto:)([^)\s]+)\)/g, isBroken)).toEqual([]);
  });

  it('name source files and tests that exist', () => {
    const pattern = /`((?:src|test|views|prisma|scripts|examples)\/[\w./-]+)`/g;
    expect(findWrong(manual, pattern, (path) => !existsSync(join(ROOT, path)))).toEqual([]);
  });

  it('name settings that exist', () => {
    const settings = new Set([...read('.env.example').matchAll(/^#? ?([A-Z][A-Z0-9_]+)=/gm)].map((match) => match[1]!));
    expect(settings.size).toBeGreaterThan(50);
    /** Belong to the reader's shell, to the code or to other programs. */
    const others = new Set([
      'TOKEN',
      'VISITOR',
      'LINK',
      'CLIENT_ID',
      'CLIENT_SECRET',
      'AGENT_KEY',
      'SESSION_SECRET',
      'AUTH_SECRET',
      'SIGNET_CLIENT_ID',
      'SIGNET_CLIENT_SECRET',
      'POSTGRES_PASSWORD',
      'OWN_MEMBERS',
    ]);
    const isUnknown = (name: string) =>
      !settings.has(name.replace(/_FILE$/, '')) && !settings.has(name) && !others.has(name);
    expect(findWrong(manual, /`([A-Z]{2,}(?:_[A-Z]+)+)(?:=[^`]*)?`/g, (name) => isUnknown(name))).toEqual([]);
  });

  it('name JSON routes that exist', () => {
    const routes = read('test/snapshots/routes.txt')
      .split('\n')
      .map((line) => line.split(' ')[0]!);
    const isUnknown = (path: string) => !routes.some((route) => route === path || route.startsWith(`${path}/`));
    expect(findWrong(current, /`(?:(?:GET|POST|PATCH|DELETE|PUT) )(\/api\/[\w/-]+)`/g, isUnknown)).toEqual([]);
  });

  it('name commands that exist', () => {
    const help = read('test/snapshots/cli.txt');
    const commands = new Set([...help.matchAll(/^Usage: signet (\w+(?: [a-z-]+)?)/gm)].map((match) => match[1]!));
    expect(commands.size).toBeGreaterThan(15);
    const isUnknown = (command: string) => !commands.has(command) && !commands.has(command.split(' ')[0]!);
    expect(findWrong(current, /npm run cli -- ([a-z]+(?: [a-z-]+)?)/g, isUnknown)).toEqual([]);
  });
});
