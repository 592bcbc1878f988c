import { MillraceError } from '../../domain/errors.ts';
import { callOperation } from './call.ts';
import { readConfig } from '../config/config.ts';
import type { Environment } from '../config/environment.ts';
import type { SourceAddress } from './operations.ts';
import { addressOf } from './source-address.ts';

/**
 * Where the source is: of the Millrace that runs on `dataDir`; when none does, the user's server as
 * configured. Undefined when `signal` aborts; throws `not_running` for an embedded one that is down.
 */
export async function findSource(
  { dataDir, env }: Readonly<{ dataDir: string; env: Environment }>,
  signal: AbortSignal,
): Promise<SourceAddress | undefined> {
  const { source } = readConfig(env, { dataDir });
  try {
    for await (const address of callOperation({ dataDir }, 'source', {}, signal)) return address;
    return undefined;
  } catch (error) {
    const isAlone = error instanceof MillraceError && error.code === 'not_running';
    if (!isAlone || source.kind === 'embedded') throw error;
    return addressOf(source.server, 'server');
  }
}
