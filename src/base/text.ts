/** Rules for text from users and clients: what can be stored, and what is visible. */

/** Reports whether both databases can store the text: no NUL, and no unpaired surrogates. */
export const isStorable = (text: string) => !text.includes('\0') && text.isWellFormed();

/**
 * Returns storable text of at most `length` characters. Repairs it after cutting, because a cut can
 * split a surrogate pair.
 */
export const clip = (text: string, length: number) => text.slice(0, length).toWellFormed().replaceAll('\0', '\ufffd');

/**
 * Invisible characters, and characters that change how others look: control and format characters,
 * line separators, blank letters. In a name, they can deceive.
 */
export const INVISIBLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\u115f\u1160\u2800\u3164\uffa0]/u;

/**
 * Reports whether the text is readable: no invisible characters, and at least one letter or digit.
 */
export const isReadable = (text: string) => !INVISIBLE.test(text) && /[\p{L}\p{N}]/u.test(text);
