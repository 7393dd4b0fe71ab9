// What the settings allow visitors without an account.

import { describe, expect, it } from 'vitest';
import { openSettings } from '../../src/base/config/open-settings.js';
import { readConfig } from '../../src/base/config.js';

const settingsOf = (environment: Record<string, string>) =>
  openSettings(readConfig(environment)).map(({ setting }) => setting);

describe('settings that are open to visitors', () => {
  it('are all named by default', () => {
    expect(settingsOf({})).toEqual([
      'SIGNUP=open',
      'REGISTRATION=open',
      'CLIENT_ID_METADATA_DOCUMENTS',
      'AGENT_ONBOARDING=open',
    ]);
  });

  it('are not named when they are closed', () => {
    expect(settingsOf({ SIGNUP: 'closed', REGISTRATION: 'closed', AGENT_ONBOARDING: 'closed' })).toEqual([]);
    expect(settingsOf({ SIGNUP: 'closed', REGISTRATION: 'closed', CLIENT_ID_METADATA_DOCUMENTS: 'on' })).toEqual([
      'CLIENT_ID_METADATA_DOCUMENTS',
      'AGENT_ONBOARDING=open',
    ]);
  });
});
