// Enforces docs/style.md where a program can: banned words, comment width, doc comments.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

const ROOT = join(import.meta.dirname, '..');
const FOLDERS = ['src', 'views', 'docs', 'test', 'scripts', 'examples', 'public', 'prisma'];
const FILES = ['README.md', '.env.example', 'CONTRIBUTING.md', 'SECURITY.md', 'CHANGELOG.md'];
const GENERATED =
  /(^|\/)(generated|node_modules|dist|migrations|snippets)\/|package-lock\.json|common-passwords|public\/swagger-ui|\.(svg|png|ico)$/;
/** They name the banned words in order to ban them. */
const ABOUT_WORDS = ['docs/style.md', 'test/style.test.ts'];

const BANNED =
  /\b(whoever|somebody|nobody|anybody|elsewhere|keepers?|errands?|letting-in|lets? in|straight way|roof|a no\b|is none\b|are none\b)\b/i;
const MAX_COMMENT_WIDTH = 100;
const BAD_OPENING = /^(Of|What|Whoever|By|As|Who|Whose|Whom|Where|That)\b/;

const files = [
  ...FOLDERS.flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' }).map((file) => `${folder}/${file}`),
  ),
  ...FILES,
]
  .filter((file) => /\.(ts|mts|mjs|js|ejs|md|css|prisma|json|txt)$|\.env\.example$/.test(file))
  .filter((file) => !GENERATED.test(file) && !ABOUT_WORDS.includes(file));
const read = (file: string) => {
  try {
    return readFileSync(join(ROOT, file), 'utf8');
  } catch {
    return '';
  }
};
const sources = files.filter((file) => /\.(ts|mts|mjs)$/.test(file));

/** `file:line: text` of each line that fails the check. */
const failing = (list: string[], fails: (line: string, next: string) => boolean) =>
  list.flatMap((file) => {
    const lines = read(file).split('\n');
    return lines.flatMap((line, at) => (fails(line, lines[at + 1] ?? '') ? [`${file}:${at + 1}: ${line.trim()}`] : []));
  });

describe('the style guide', () => {
  it('reads files that exist', () => {
    expect(files.length).toBeGreaterThan(50);
  });

  it('bans words of a private dialect', () => {
    expect(failing(files, (line) => BANNED.test(line))).toEqual([]);
  });

  it('wraps comments', () => {
    const isComment = (line: string) => /^\s*(\/\/|\/?\*)/.test(line);
    const isLong = (line: string) => line.length > MAX_COMMENT_WIDTH && !/https?:\/\/\S{60,}|biome-ignore/.test(line);
    expect(failing(sources, (line) => isComment(line) && isLong(line))).toEqual([]);
  });

  it('opens a doc comment with a verb or a noun phrase', () => {
    const opening = (line: string, next: string) =>
      /^\s*\/\*\*\s*(.*)$/.exec(line)?.[1] || next.replace(/^\s*\*\s*/, '');
    const isDoc = (line: string) => /^\s*\/\*\*/.test(line);
    expect(failing(sources, (line, next) => isDoc(line) && BAD_OPENING.test(opening(line, next)))).toEqual([]);
  });

  it('documents exported functions, or the module that is one function', () => {
    const undocumented = sources
      .filter((file) => file.startsWith('src/'))
      .flatMap((file) => {
        const text = read(file);
        const exported = [
          ...text.matchAll(/^export (?:async )?function (\w+)|^export const (\w+) = (?:async )?(?:\(|<|function)/gm),
        ];
        const hasModuleComment = /^\s*(\/\*\*|\/\/)/.test(text);
        return exported
          .filter((match) => !/(\*\/|\/\/.*)\s*$/.test(text.slice(0, match.index)))
          .filter((match) => !(hasModuleComment && /^create|^open|^add/.test(match[1] ?? '')))
          .map((match) => `${file}: ${match[1] ?? match[2]}`);
      });
    expect(undocumented).toEqual([]);
  });
});
