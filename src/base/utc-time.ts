const UTC_TIME = new Intl.DateTimeFormat('en-GB', { dateStyle: 'long', timeStyle: 'short', timeZone: 'UTC' });

/** Formats a time for users whose time zone is unknown: "22 November 2026 at 13:20 UTC". */
export const formatUtcTime = (date: Date) => `${UTC_TIME.format(date)} UTC`;
