/** Names of commands from earlier releases. They work for one release, with a warning. */
export const OLD_COMMANDS: Readonly<Record<string, string>> = {
  'account reset-factor': 'account reset-mfa',
  'client secret': 'client rotate-secret',
  'client reap': 'client prune',
  move: 'db copy',
};

/** Returns the words with the current command name. Warns on standard error about an old one. */
export function renameOldCommand(words: string[]): string[] {
  for (const [old, current] of Object.entries(OLD_COMMANDS)) {
    const length = old.split(' ').length;
    if (words.slice(0, length).join(' ') !== old) continue;
    process.stderr.write(`"signet ${old}" is the old name of "signet ${current}" and will be removed.\n`);
    return [...current.split(' '), ...words.slice(length)];
  }
  return words;
}
