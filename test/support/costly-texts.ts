// Random texts that try to cost a parser, an expression or a comparison much: long and repetitive,
// nested, and wide.
import fc from 'fast-check';

/** The units that a long text repeats. */
export const UNITS = [
  'a', 'A', '0', ' ', '\t', '.', '-', '_', '/', '../', '/..', '\\', '@', ':', ';', ',', '=', '&', '%', '%2e', '%25', '%c3%a9', '+', '!',
  '[', '{', '"', "'", '<', '&amp;', '\\u0000', 'a@', 'a.', 'a-', 'a ', '1,', '{"a":', '[[', 'é', 'e\u0301', '\u0301', '\u202e', '\u200b',
  '😀', '漢', 'ß', 'İ', 'http://', 'https://a/', 'xn--', '::', '127.', 'urn:', 'Bearer ', 'a=b; ', 'a=b&', 'q=0.1,', 'eyJ', 'a.b.',
  '\ud800', '\u2066', '\ufdfa', '\u1e9b\u0323', '%F0%9F%98%80', '%ff', 'a,', '-----BEGIN ', '0x', '١', 'ﷺ', '\r', '--', '//', '..', '@.',
]; // biome-ignore format: a list

export const text = (max: number): fc.Arbitrary<string> =>
  fc.oneof({ weight: 3, arbitrary: longText(max) }, nestedJson(max), wideJson(max));

/** Repeats a unit, and ends with a character at which an expression could start to backtrack. */
export const longText = (max: number): fc.Arbitrary<string> =>
  fc
    .tuple(fc.constantFrom(...UNITS), fc.constantFrom('', '!', '@', '\n', '"', ' x'), fc.integer({ min: 50, max }))
    .map(([unit, end, length]) => unit.repeat(Math.ceil(length / unit.length)).slice(0, length) + end);

export function nestedJson(max: number): fc.Arbitrary<string> {
  return fc.tuple(fc.constantFrom('[', '{"a":', '[{"a":['), fc.boolean()).map(([open, isClosed]) => {
    const count = Math.floor(max / (open.length * 3));
    const close = [...open]
      .reverse()
      .map((one) => ({ '[': ']', '{': '}' })[one] ?? '')
      .join('');
    return open.repeat(count) + (isClosed ? `1${close.repeat(count)}` : '');
  });
}

export function wideJson(max: number): fc.Arbitrary<string> {
  return fc.constantFrom(
    JSON.stringify(Array.from({ length: max / 12 }, (_, n) => `a${n}`)),
    JSON.stringify(Object.fromEntries(Array.from({ length: max / 20 }, (_, n) => [`member-${n}`, n]))),
    JSON.stringify(Array.from({ length: max / 40 }, (_, n) => ({ type: 'agent_action', n }))),
  );
}
