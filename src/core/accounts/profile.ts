/** The profile that users edit themselves: names, picture, preferences. */

import { invalidRequest } from '../../base/app-error.js';
import type { Prisma } from '../../base/db/open.js';
import type { Transact } from '../../base/db/transaction.js';
import type { InvalidationBus } from '../../base/invalidation-bus.js';
import type { RequestMeta } from '../../base/request-meta.js';
import type { Audit } from '../audit/audit.js';
import type { Account } from './accounts.js';
import { isName, NAME_ERROR, splitName } from './fields.js';

/** Omitted fields are not changed. Null deletes a value. */
export interface ProfileChange {
  name?: string | null | undefined;
  givenName?: string | null | undefined;
  familyName?: string | null | undefined;
  picture?: string | null | undefined;
  timezone?: string | null | undefined;
  language?: string | null | undefined;
  /** Replaces all notification settings. */
  notifications?: Record<string, boolean> | undefined;
}

interface Deps {
  transact: Transact;
  audit: Audit;
  invalidationBus: InvalidationBus;
}

const MAX_PICTURE_LENGTH = 2048;
const MAX_NOTIFICATIONS = 50;

export function createProfiles({ transact, audit, invalidationBus }: Deps) {
  return { change };

  /**
   * Changes the profile. A new full name also sets the given name and the family name, unless
   * the input sets them. Throws `AppError` `invalid_request` by field.
   */
  async function change(accountId: string, input: ProfileChange, meta: RequestMeta): Promise<Account> {
    const { notifications, ...textFields } = input;
    const values = Object.fromEntries(
      Object.entries(textFields)
        .filter(([, value]) => value !== undefined)
        .map(([name, value]) => [name, value?.trim() || null]),
    );
    const errors = errorsOf(values, notifications);
    if (Object.keys(errors).length > 0) throw invalidRequest('Some values are invalid.', errors);
    if (values.name !== undefined) {
      const { givenName = null, familyName = null } = splitName(values.name ?? undefined);
      Object.assign(values, { givenName, familyName, ...values });
    }
    const data = { ...values, ...(notifications && { notifications: notifications as Prisma.InputJsonObject }) };
    return transact(async (uow) => {
      const changed = await uow.tx.account.update({ where: { id: accountId }, data });
      const detail = { fields: Object.keys(data) };
      await audit.record(uow, 'account.updated', { by: accountId, accountId, meta, detail });
      uow.afterCommit(() => invalidationBus.publish('accounts', accountId));
      return changed;
    });
  }
}

function errorsOf(
  values: Record<string, string | null>,
  notifications: Record<string, boolean> | undefined,
): Record<string, string> {
  const errors: Record<string, string> = {};
  const checkField = (field: string, isValid: (value: string) => boolean, error: string) => {
    const value = values[field];
    if (value && !isValid(value)) errors[WIRE_NAMES[field] ?? field] = error;
  };
  for (const field of ['name', 'givenName', 'familyName']) checkField(field, isName, NAME_ERROR);
  checkField('picture', isPicture, 'Enter an https URL.');
  checkField('timezone', isTimezone, 'Enter a time zone such as Europe/Vienna.');
  checkField('language', isLanguage, 'Enter a language tag such as de-AT.');
  if (Object.keys(notifications ?? {}).length > MAX_NOTIFICATIONS) {
    errors.notifications = `Enter at most ${MAX_NOTIFICATIONS} notification settings.`;
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
