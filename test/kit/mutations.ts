// Generates texts that differ slightly: a character changed, removed or doubled, or two swapped.
import fc from 'fast-check';

const SIGNS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=+/ \n';

export function mutations(text: string): fc.Arbitrary<string> {
  const at = fc.nat(text.length - 1);
  const sign = fc.constantFrom(...SIGNS);
  return fc
    .oneof(
      fc.tuple(at, sign).map(([n, other]) => text.slice(0, n) + other + text.slice(n + 1)),
      fc.tuple(at, sign).map(([n, more]) => text.slice(0, n) + more + text.slice(n)),
      at.map((n) => text.slice(0, n) + text.slice(n + 1)),
      at.map((n) => text.slice(0, n)),
      // The last characters of a part are those with several encodings.
      fc.tuple(fc.constantFrom(...ends(text)), sign).map(([n, other]) => text.slice(0, n) + other + text.slice(n + 1)),
    )
    .filter((other) => other !== text);
}

const ends = (text: string): number[] =>
  [...text].flatMap((_, n) => (n + 1 === text.length || text[n + 1] === '.' ? [n] : []));
