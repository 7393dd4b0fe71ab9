/** What is wrong with a password that somebody chose is told by the name that it has in the API. */
import { AppError, invalidRequest } from '../../base/app-error.js';

export async function renameField(verb: Promise<void>): Promise<void> {
  try {
    await verb;
  } catch (error) {
    if (!(error instanceof AppError) || !error.fields?.password) throw error;
    throw invalidRequest(error.message, { new_password: error.fields.password });
  }
}
