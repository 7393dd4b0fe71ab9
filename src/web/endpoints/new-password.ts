/** What is wrong with a password that somebody chose is told by the name that it has in the API. */
import { invalidRequest, Refusal } from '../../base/app-error.js';

export async function namingTheField(verb: Promise<void>): Promise<void> {
  try {
    await verb;
  } catch (error) {
    if (!(error instanceof Refusal) || !error.fields?.password) throw error;
    throw invalidRequest(error.message, { new_password: error.fields.password });
  }
}
