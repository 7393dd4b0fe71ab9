/** Names the settings that allow something to visitors without an account. */
import type { Config } from '../config.js';

type Settings = Pick<Config, 'signup' | 'registration' | 'clientDocuments' | 'agentOnboarding'>;

interface OpenSetting {
  /** The variable with its value: `SIGNUP=open`. */
  setting: string;
  /** The things that any visitor can do, as a sentence without a full stop. */
  allows: string;
}

/** Returns the settings that are open to every visitor. */
export function openSettings({ signup, registration, clientDocuments, agentOnboarding }: Settings): OpenSetting[] {
  return [
    signup === 'open' && { setting: 'SIGNUP=open', allows: 'any visitor can create an account' },
    registration === 'open' && {
      setting: 'REGISTRATION=open',
      allows: 'any visitor can register an OAuth client, which can ask users for access',
    },
    clientDocuments && {
      setting: 'CLIENT_ID_METADATA_DOCUMENTS',
      allows: 'any website can be an OAuth client without registration, and can ask users for access',
    },
    agentOnboarding === 'open' && {
      setting: 'AGENT_ONBOARDING=open',
      allows: 'any visitor can create an agent with an API key, which expires after a week unless a user claims it',
    },
  ].filter((entry): entry is OpenSetting => Boolean(entry));
}
