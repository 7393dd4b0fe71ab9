/** Reports the errors of a new password under the name of its field in the API. */
import { AppError, invalidRequest } from '../../base/app-error.js';

/** Awaits `verb`. Renames the field of a password error to `new_password`. */
export async function renameField(verb: Promise<void>): Promise<void> {
  try {
    await verb;
  } catch (error) {
    if (!(error instanceof AppError) || !error.fields?.password) throw error;
    throw invalidRequest(error.message, { new_password: error.fields.password });
  }
}
