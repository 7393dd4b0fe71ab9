import { describe, expect, it } from 'vitest';
import { clip, isStorable } from '../../src/base/text.js';

describe('clip', () => {
  it.each([
    ['abcdef', 'abcd'],
    ['abc\u{1f511}', 'abc\ufffd'],
    ['ab\0c', 'ab\ufffdc'],
    ['a\ud83db', 'a\ufffdb'],
    ['', ''],
  ])('cuts %j to %j, which both databases can store', (text, clipped) => {
    expect(clip(text, 4)).toBe(clipped);
    expect(isStorable(clipped)).toBe(true);
  });
});
