// Generates texts with a character changed, inserted or removed, or truncated texts.
import fc from 'fast-check';

const CHARACTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=+/ \n';

export function mutations(text: string): fc.Arbitrary<string> {
  const at = fc.nat(text.length - 1);
  const character = fc.constantFrom(...CHARACTERS);
  return fc
    .oneof(
      fc.tuple(at, character).map(([n, other]) => text.slice(0, n) + other + text.slice(n + 1)),
      fc.tuple(at, character).map(([n, more]) => text.slice(0, n) + more + text.slice(n)),
      at.map((n) => text.slice(0, n) + text.slice(n + 1)),
      at.map((n) => text.slice(0, n)),
      // Several characters at the end of a Base64 part can decode to the same bytes.
      fc
        .tuple(fc.constantFrom(...ends(text)), character)
        .map(([n, other]) => text.slice(0, n) + other + text.slice(n + 1)),
    )
    .filter((other) => other !== text);
}

const ends = (text: string): number[] =>
  [...text].flatMap((_, n) => (n + 1 === text.length || text[n + 1] === '.' ? [n] : []));
