// Writes src/data/common-passwords.txt from @zxcvbn-ts/language-common (MIT): the 10,000 most
// common passwords that satisfy the length rule. One per line, in lower case, most common first.
import { writeFileSync } from 'node:fs';
import { dictionary } from '@zxcvbn-ts/language-common';

const MIN_LENGTH = 8;
const COUNT = 10_000;
const common = dictionary['passwords-common'].filter((password) => password.length >= MIN_LENGTH).slice(0, COUNT);
writeFileSync('src/data/common-passwords.txt', `${common.join('\n')}\n`);
