/** Rules that settings have to keep, and what is said of those that are broken. */

/**
 * The fault is one sentence, with the name of the variable and, where it helps, what is allowed.
 */
export type Rule = [broken: boolean, error: string];

export const failedRules = (rules: Rule[]): string[] => rules.filter(([broken]) => broken).map(([, error]) => error);
