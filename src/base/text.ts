/** Checks text from users and clients: whether it can be stored, and whether it is readable. */

/** Reports whether both databases can store the text: no NUL, and no unpaired surrogates. */
export const isStorable = (text: string) => !text.includes('\0') && text.isWellFormed();

/**
 * Returns storable text of at most `maxLength` UTF-16 code units. Truncates first, because that can
 * split a surrogate pair.
 */
export const clip = (text: string, maxLength: number) =>
  text.slice(0, maxLength).toWellFormed().replaceAll('\0', '\ufffd');

/**
 * Invisible characters, and characters that change how others look: control and format characters,
 * line separators, blank letters. With them, one name can look like another.
 */
export const INVISIBLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\u115f\u1160\u2800\u3164\uffa0]/u;

/**
 * Reports whether the text is readable: no invisible characters, and at least one letter or digit.
 */
export const isReadable = (text: string) => !INVISIBLE.test(text) && /[\p{L}\p{N}]/u.test(text);
