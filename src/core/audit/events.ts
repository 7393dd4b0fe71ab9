/** The names of all that is written to the audit trail. */

export const AUDIT_ACTIONS = [
  'account.created',
  'account.updated',
  'client.created',
  'client.deleted',
  'client.registered',
  'client.updated',
  'code.replayed',
  'consent.given',
  'consent.refused',
  'consent.withdrawn',
  'key.created',
  'key.retired',
  'key.rotated',
  'mfa.enrolled',
  'mfa.recovery_code_used',
  'mfa.recovery_codes_renewed',
  'mfa.removed',
  'refresh_token.replayed',
  'session.proved_again',
  'session.ended',
  'setup.completed',
  'setup.link_made',
  'sign_in.failed',
  'sign_in.succeeded',
  'token.refused',
  'token.revoked',
] as const;

export type AuditAction = (typeof AUDIT_ACTIONS)[number];
