/** Text from strangers: what can be stored and shown, and what only pretends to be text. */

/** No NUL, which PostgreSQL refuses, and no half of a surrogate pair, which no encoding has. */
export const isStorable = (text: string) => !text.includes('\0') && text.isWellFormed();

/**
 * Storable, and at most so long: for what is only noted. Cut first, for a cut may leave half of a
 * surrogate pair.
 */
export const clip = (text: string, length: number) => text.slice(0, length).toWellFormed().replaceAll('\0', '\ufffd');

/**
 * Characters that are not seen, or that change how others are seen: control and format characters,
 * line separators, and the blanks that pass for letters. In a name they are there to deceive.
 */
export const INVISIBLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\u115f\u1160\u2800\u3164\uffa0]/u;

/** Whether somebody could read it: no invisible characters, and at least one letter or digit. */
export const isReadable = (text: string) => !INVISIBLE.test(text) && /[\p{L}\p{N}]/u.test(text);
