import { describe, expect, it } from 'vitest';
import { clip, isStorable } from '../../src/base/text.js';

describe('text that is only noted', () => {
  it.each([
    ['abcdef', 'abcd'],
    ['abc\u{1f511}', 'abc\ufffd'],
    ['ab\0c', 'ab\ufffdc'],
    ['a\ud83db', 'a\ufffdb'],
    ['', ''],
  ])('%j is cut to %j, which every store takes', (text, noted) => {
    expect(clip(text, 4)).toBe(noted);
    expect(isStorable(noted)).toBe(true);
  });
});
