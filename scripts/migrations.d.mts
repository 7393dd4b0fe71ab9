// Types of what tests import from migrations.mjs.
type Provider = 'sqlite' | 'postgresql';
export function driftOfMigrations(provider: Provider): Promise<string | undefined>;
export function driftOfDatabase(url: string): Promise<string | undefined>;
