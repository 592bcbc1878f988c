import type { ConnectionFacts } from './connection.ts';

const SSL_MODES = ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full'] as const;

/**
 * Reads `postgres://user:password@host:port/database?sslmode=…&sslrootcert=…`, each part percent-encoded.
 * What is wrong with it comes back as text, which says nothing of the address: it holds a password.
 */
export function parsePostgresUrl(text: string): ConnectionFacts | string {
  const url = URL.parse(text);
  if (url === null || !/^postgres(ql)?:$/.test(url.protocol))
    return 'expected an address such as postgres://user:password@host:5432/database';
  if (url.hostname === '') return 'expected a host in the address';
  if (url.username === '') return 'expected a user in the address';
  const database = decoded(url.pathname.slice(1));
  if (database === '') return 'expected a database in the path of the address';
  const asked = url.searchParams.get('sslmode') ?? 'prefer';
  const sslmode = SSL_MODES.find((mode) => mode === asked);
  if (sslmode === undefined) return `expected an sslmode of ${SSL_MODES.join(', ')}`;
  const sslrootcert = url.searchParams.get('sslrootcert');
  if (sslrootcert === null && sslmode.startsWith('verify'))
    return `expected sslrootcert in the address, as its sslmode is ${sslmode}`;
  return {
    host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
    port: url.port === '' ? 5432 : Number(url.port),
    database,
    user: decoded(url.username),
    password: decoded(url.password),
    sslmode,
    ...(sslrootcert !== null && { sslrootcert }),
  };
}

/** A stray `%` stands for itself. */
function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
