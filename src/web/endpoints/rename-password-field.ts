import { AppError, invalidRequest } from '../../base/app-error.js';

/**
 * Awaits a change of the password. Renames the field of its errors to `new_password`, as the
 * request names it.
 */
export async function renamePasswordField(change: Promise<void>): Promise<void> {
  try {
    await change;
  } catch (error) {
    if (!(error instanceof AppError) || !error.fields?.password) throw error;
    throw invalidRequest(error.message, { new_password: error.fields.password });
  }
}
