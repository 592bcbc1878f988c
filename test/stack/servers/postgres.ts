import { temporaryPostgres, type TemporaryPostgres } from '../../postgres.ts';
import { deployedSettings } from './settings-file.ts';

/** A PostgreSQL of a test's own, with the settings of `deploy/postgres/postgresql.conf`, its address aside. */
export async function deployedPostgres(): Promise<TemporaryPostgres> {
  const { listen_addresses: _, ...settings } = await deployedSettings('postgres/postgresql.conf');
  return temporaryPostgres({ settings });
}
