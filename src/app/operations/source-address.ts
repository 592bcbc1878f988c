import type { ConnectionFacts } from '../../adapters/postgres/connection.ts';
import type { SourceAddress } from './operations.ts';

/** Of the embedded server with its password, which its user need not know. */
export function addressOf(connection: ConnectionFacts, kind: SourceAddress['kind']): SourceAddress {
  const { host, port, database, user, password } = connection;
  const url = new URL(`postgresql://${host.includes(':') ? `[${host}]` : host}:${port}`);
  url.username = encodeURIComponent(user);
  if (kind === 'embedded') url.password = encodeURIComponent(password);
  url.pathname = encodeURIComponent(database);
  return { kind, host, port, database, user, password, url: url.href };
}
