/** What a person says of themselves: names, picture, preferences. */

import { invalidRequest } from '../../base/app-error.js';
import type { Database, Prisma } from '../../base/db/open.js';
import type { InvalidationBus } from '../../base/invalidation-bus.js';
import type { Audit } from '../audit/audit.js';
import type { RequestMeta } from '../request-meta.js';
import { type Account, isName, NAME_ERROR, splitName } from './accounts.js';

/** What is left out stays; null takes it away. */
export interface ProfileChange {
  name?: string | null | undefined;
  givenName?: string | null | undefined;
  familyName?: string | null | undefined;
  picture?: string | null | undefined;
  timezone?: string | null | undefined;
  language?: string | null | undefined;
  /** Replaces all of them. */
  notifications?: Record<string, boolean> | undefined;
}

interface Deps {
  db: Database;
  audit: Audit;
  invalidationBus: InvalidationBus;
}

const MAX_PICTURE_LENGTH = 2048;
const MAX_NOTIFICATIONS = 50;

export function createProfiles({ db, audit, invalidationBus }: Deps) {
  return { change };

  /**
   * Refuses with `invalid_request` by field. A new name brings its parts along, unless they are
   * given too.
   */
  async function change(accountId: string, given: ProfileChange, meta: RequestMeta): Promise<Account> {
    const { notifications, ...texts } = given;
    const values = Object.fromEntries(
      Object.entries(texts)
        .filter(([, value]) => value !== undefined)
        .map(([name, value]) => [name, value?.trim() || null]),
    );
    const errors = errorsOf(values, notifications);
    if (Object.keys(errors).length > 0) throw invalidRequest('Some values cannot be used.', errors);
    if (values.name !== undefined) {
      const { givenName = null, familyName = null } = splitName(values.name ?? undefined);
      Object.assign(values, { givenName, familyName, ...values });
    }
    const data = { ...values, ...(notifications && { notifications: notifications as Prisma.InputJsonObject }) };
    const account = await db.$transaction(async (tx) => {
      const changed = await tx.account.update({ where: { id: accountId }, data });
      const actor = { kind: 'account' as const, id: accountId };
      const detail = { fields: Object.keys(data) };
      await audit.record({ action: 'account.updated', actor, accountId, meta, detail }, tx);
      return changed;
    });
    await invalidationBus.publish('accounts', accountId);
    return account;
  }
}

function errorsOf(
  values: Record<string, string | null>,
  notifications: Record<string, boolean> | undefined,
): Record<string, string> {
  const errors: Record<string, string> = {};
  const must = (field: string, isFit: (value: string) => boolean, error: string) => {
    const value = values[field];
    if (value && !isFit(value)) errors[WIRE_NAMES[field] ?? field] = error;
  };
  for (const field of ['name', 'givenName', 'familyName']) must(field, isName, NAME_ERROR);
  must('picture', isPicture, 'Give an https address.');
  must('timezone', isTimezone, 'Give a time zone such as Europe/Vienna.');
  must('language', isLanguage, 'Give a language tag such as de-AT.');
  if (Object.keys(notifications ?? {}).length > MAX_NOTIFICATIONS) {
    errors.notifications = `Give at most ${MAX_NOTIFICATIONS} of them.`;
  }
  return errors;
}

const WIRE_NAMES: Record<string, string> = { givenName: 'given_name', familyName: 'family_name' };

const isPicture = (value: string) => value.length <= MAX_PICTURE_LENGTH && URL.parse(value)?.protocol === 'https:';

function isTimezone(value: string): boolean {
  try {
    return Boolean(new Intl.DateTimeFormat('en', { timeZone: value }));
  } catch {
    return false;
  }
}

function isLanguage(value: string): boolean {
  try {
    return Intl.getCanonicalLocales(value).length === 1;
  } catch {
    return false;
  }
}
