// Writes src/core/accounts/common-passwords.ts: the 10,000 most common passwords that are long
// enough to pass the length rule.
import { writeFileSync } from 'node:fs';
import { dictionary } from '@zxcvbn-ts/language-common';

const MIN_LENGTH = 8;
const COUNT = 10_000;
const common = dictionary['passwords-common'].filter((word) => word.length >= MIN_LENGTH).slice(0, COUNT);
writeFileSync(
  'src/core/accounts/common-passwords.ts',
  `// Made by scripts/common-passwords.mjs from @zxcvbn-ts/language-common (MIT). Most common first, lower case, one a line.
export const COMMON_PASSWORDS: ReadonlySet<string> = new Set(
  String.raw\`${common.map((word) => word.replaceAll('`', '')).join('\n')}\`.split('\\n'),
);
`,
);
