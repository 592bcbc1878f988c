import { readFileSync } from 'node:fs';
import type { ConnectionOptions } from 'node:tls';
import pg from 'pg';
import { MillraceError } from '../../domain/errors.ts';

/** How to reach a database; `sslmode` and `sslrootcert` (a file) as libpq knows them. */
export type ConnectionFacts = Readonly<{
  host: string;
  port: number;
  database: string;
  user: string;
  password: string;
  sslmode?: 'disable' | 'allow' | 'prefer' | 'require' | 'verify-ca' | 'verify-full';
  sslrootcert?: string;
}>;

/**
 * One text form for each value, whichever connection it comes by: a walsender prints values with
 * its own session's settings, so a copied row and a streamed one differ unless both are set here.
 */
const SESSION = [
  'datestyle=ISO',
  'intervalstyle=postgres',
  'timezone=UTC',
  'bytea_output=hex',
  'extra_float_digits=3',
  // A warning may be the only word of changes that are left out.
  'client_min_messages=warning',
  'statement_timeout=0',
  'lock_timeout=0',
  'idle_in_transaction_session_timeout=0',
  'idle_session_timeout=0',
];

const CONNECT_TIMEOUT_MS = 10_000;
/** The system's own two hours are too long for a server that vanished. */
const KEEP_ALIVE_DELAY_MS = 30_000;
const NO_TLS = 'The server does not support SSL connections';

/** With `replication` the connection takes replication commands too; an abort ends the attempt. */
type OpenOptions = Readonly<{ replication?: boolean; signal?: AbortSignal }>;

/** A logged-in connection. Fails with `source_unreachable` or `source_login_failed`. */
export async function openConnection(
  facts: ConnectionFacts,
  options: OpenOptions = {},
): Promise<pg.Client> {
  const mode = facts.sslmode ?? 'disable';
  const mayFallBack = mode === 'prefer' || mode === 'allow';
  try {
    const ssl = mode === 'disable' ? false : tlsOptions(facts, mode);
    return await login(facts, options, ssl).catch((error: unknown) => {
      const hasNoTls = error instanceof Error && error.message === NO_TLS;
      if (mayFallBack && hasNoTls) return login(facts, options, false);
      throw error;
    });
  } catch (error) {
    throw isTooOld(error)
      ? new MillraceError('source_not_ready', { expected: 'PostgreSQL 14 or later' }, error)
      : sourceError(error, facts, loginAttempt(facts, options));
  }
}

/** Versions before 14 do not know idle_session_timeout, and refuse the login for it. */
function isTooOld(error: unknown): boolean {
  return error instanceof pg.DatabaseError && error.code === '42704';
}

async function login(
  facts: ConnectionFacts,
  { replication = false, signal }: OpenOptions,
  ssl: boolean | ConnectionOptions,
): Promise<pg.Client> {
  const config: pg.ClientConfig & { replication?: string } = {
    host: facts.host,
    port: facts.port,
    database: facts.database,
    user: facts.user,
    password: facts.password,
    ssl,
    application_name: 'millrace',
    options: SESSION.map((setting) => `-c ${setting}`).join(' '),
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    keepAlive: true,
    keepAliveInitialDelayMillis: KEEP_ALIVE_DELAY_MS,
    // Values stay PostgreSQL's text: a parsed date or bigint would lose what it said.
    types: { getTypeParser: () => (text: string) => text },
    ...(replication ? { replication: 'database' } : {}),
  };
  const client = new pg.Client(config);
  // A connection that dies between two queries says so here; the next query fails with the reason.
  client.on('error', () => undefined);
  const giveUp = () => client.connection.stream.destroy();
  signal?.addEventListener('abort', giveUp, { once: true });
  try {
    await client.connect();
  } catch (error) {
    giveUp();
    signal?.throwIfAborted();
    throw error;
  } finally {
    signal?.removeEventListener('abort', giveUp);
  }
  return client;
}

/** Names the right that is missing when the server knows the user and still refuses. */
function loginAttempt({ user, database }: ConnectionFacts, { replication }: OpenOptions): Attempt {
  const role = pg.escapeIdentifier(user);
  return replication === true
    ? { purpose: 'read the write-ahead log', sql: `ALTER ROLE ${role} REPLICATION` }
    : {
        purpose: 'log in',
        sql: `GRANT CONNECT ON DATABASE ${pg.escapeIdentifier(database)} TO ${role}`,
      };
}

function tlsOptions(
  facts: ConnectionFacts,
  mode: NonNullable<ConnectionFacts['sslmode']>,
): ConnectionOptions {
  const ca = facts.sslrootcert === undefined ? {} : { ca: readCertificate(facts.sslrootcert) };
  if (mode === 'verify-full') return ca;
  // As in libpq, `require` with a root certificate checks the chain, but not the host's name.
  const checksChain = mode === 'verify-ca' || facts.sslrootcert !== undefined;
  return checksChain
    ? { ...ca, checkServerIdentity: () => undefined }
    : { rejectUnauthorized: false };
}

function readCertificate(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    throw new MillraceError('config_invalid', { expected: 'a root certificate', file }, error);
  }
}

/** What was being done when an error came; it goes into the message, so never a secret. */
export type Attempt = Readonly<{
  /** Such as "create the publication". */
  purpose?: string;
  /** What an operator with the rights would run. */
  sql?: string;
  slot?: string;
}>;

/** Names the failures that an operator can mend; any other error comes back as it was. */
export function sourceError(
  error: unknown,
  { host, port, database, user }: Pick<ConnectionFacts, 'host' | 'port' | 'database' | 'user'>,
  attempt: Attempt = {},
): unknown {
  if (error instanceof MillraceError || !(error instanceof Error)) return error;
  const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
  const said = error.message === '' ? code : error.message;
  const address = `${host}:${port}`;
  if (isUnreachable(code, said)) {
    return new MillraceError('source_unreachable', { address, said }, error);
  }
  if (isRefusedLogin(code, said)) {
    return new MillraceError('source_login_failed', { address, database, user, said }, error);
  }
  if (attempt.slot !== undefined && code in SLOT_ERRORS) {
    return new MillraceError(SLOT_ERRORS[code] ?? 'slot_missing', { ...attempt, said }, error);
  }
  if (attempt.slot !== undefined && said.startsWith('could not map filenumber')) {
    return new MillraceError('slot_undecodable', { ...attempt, said }, error);
  }
  if (attempt.purpose !== undefined && NOT_READY.has(code)) {
    return new MillraceError('source_not_ready', { address, user, ...attempt, said }, error);
  }
  return error;
}

// https://www.postgresql.org/docs/current/errcodes-appendix.html
const SLOT_ERRORS: Readonly<
  Record<string, 'slot_in_use' | 'slot_missing' | 'slot_exists' | 'slot_lost'>
> = {
  '55006': 'slot_in_use',
  '42704': 'slot_missing',
  '42710': 'slot_exists',
  // A WAL segment that the slot needs is no longer there.
  '58P01': 'slot_lost',
};

/** Rights (42501), wal_level (55000), no slot or walsender left (53400), no such publication (42704). */
const NOT_READY = new Set(['42501', '55000', '53400', '42704']);

const NETWORK = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ENOTFOUND',
  'ENOENT',
  'ETIMEDOUT',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EPIPE',
  'ERR_STREAM_DESTROYED',
]);
/** What `pg` says without a code when the socket ends under it. */
const LOST = /^(Connection terminated|timeout expired|Client has encountered a connection error)/;

function isUnreachable(code: string, said: string): boolean {
  // 57P0x: shutting down, starting up; 08: connection exceptions; 53300: no connection is free.
  return NETWORK.has(code) || /^(57P0[1235]|08...|53300)$/.test(code) || LOST.test(said);
}

function isRefusedLogin(code: string, said: string): boolean {
  return (
    /^(28...|3D000)$/.test(code) ||
    /^(ERR_TLS|CERT_|SELF_SIGNED|DEPTH_ZERO|UNABLE_TO_)/.test(code) ||
    said.startsWith('SASL:') ||
    said === NO_TLS
  );
}
