import { MillraceError } from '../../domain/errors.ts';
import type { Send } from './connection.ts';
import { FORMAT, FORMAT_VERSION } from './store-keys.ts';

const OLDEST = 7;

/**
 * Throws `store_unsuitable` when commits on this server would not be whole, or not stay, or another
 * version's data is there. Marks an empty database as ours.
 */
export async function checkServer(send: Send): Promise<void> {
  // INFO alone, as hosted servers refuse CONFIG.
  const info = parseInfo(await send<string>('INFO'));
  const version = info.get('redis_version');
  if (Number.parseInt(version ?? '', 10) < OLDEST) {
    refuse(`version ${OLDEST} or later`, version, 'older ones lack commands that are used');
  }
  if (info.get('redis_mode') === 'cluster' || info.get('cluster_enabled') === '1') {
    refuse(
      'no cluster mode',
      'cluster mode',
      'a commit moves offsets, state and served keys together, and a cluster would spread them',
    );
  }
  const policy = info.get('maxmemory_policy');
  if (policy !== 'noeviction') {
    refuse(
      'maxmemory-policy noeviction',
      policy,
      'eviction removes state that no replay brings back',
    );
  }
  if (info.get('role') === 'slave' && info.get('slave_read_only') === '0') {
    refuse('a primary', 'a replica that takes writes', 'it drops them when it follows its primary');
  }
  const format = await formatOf(send);
  if (format !== FORMAT_VERSION) {
    refuse(`format ${FORMAT_VERSION}`, format, 'another version of Millrace wrote this database');
  }
}

// Written only where it is missing: a server that takes no writes is still read from.
async function formatOf(send: Send): Promise<string> {
  const found = await send<string | null>('GET', FORMAT);
  if (found !== null) return found;
  return (await send<string | null>('SET', FORMAT, FORMAT_VERSION, 'NX', 'GET')) ?? FORMAT_VERSION;
}

/** As INFO prints it: `name:value` lines, and headings. */
function parseInfo(text: string): ReadonlyMap<string, string> {
  const lines = text.split('\r\n').filter((line) => line.includes(':'));
  return new Map(
    lines.map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1)]),
  );
}

function refuse(expected: string, found: string | undefined, reason: string): never {
  throw new MillraceError('store_unsuitable', { expected, found, reason });
}
