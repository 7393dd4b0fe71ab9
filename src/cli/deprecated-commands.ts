/** Current names of commands by their deprecated names, which work for one release. */
export const DEPRECATED_COMMANDS: Readonly<Record<string, string>> = {
  'account reset-factor': 'account reset-mfa',
  'client secret': 'client rotate-secret',
  'client reap': 'client prune',
  move: 'db copy',
};

/** Replaces a deprecated command name in the arguments, and warns on standard error. */
export function renameDeprecatedCommand(args: string[]): string[] {
  for (const [deprecated, current] of Object.entries(DEPRECATED_COMMANDS)) {
    const length = deprecated.split(' ').length;
    if (args.slice(0, length).join(' ') !== deprecated) continue;
    process.stderr.write(
      `"signet ${deprecated}" is deprecated and will be removed in the next release; use "signet ${current}" instead\n`,
    );
    return [...current.split(' '), ...args.slice(length)];
  }
  return args;
}
