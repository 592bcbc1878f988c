import { readFileSync } from 'node:fs';
import { createClient } from 'redis';
import { MillraceError } from '../../domain/errors.ts';

/** How to reach a Redis server. */
export type RedisAddress = Readonly<{
  host: string;
  port: number;
  /** A user of Redis's ACL; without one it is `default`. */
  username?: string;
  password?: string;
  /** The number of the database; 0 unless given. */
  database?: number;
  /** Without it the connection is plain. `caFile` is needed where the system does not trust the issuer. */
  tls?: Readonly<{ caFile?: string }>;
}>;

export type Client = ReturnType<typeof newClient>;

const CONNECT_TIMEOUT_MS = 5000;
const MOST_BETWEEN_ATTEMPTS_MS = 2000;

/** Not yet connected. While `triesAgain`, it looks for the server until it is destroyed. */
export function newClient(
  { host, port, username, password, database, tls }: RedisAddress,
  { silenceMs, triesAgain }: Readonly<{ silenceMs: number; triesAgain: () => boolean }>,
) {
  const socket = {
    host,
    port,
    connectTimeout: CONNECT_TIMEOUT_MS,
    socketTimeout: silenceMs,
    reconnectStrategy: (attempts: number, cause: Error) =>
      triesAgain() ? Math.min(20 * 2 ** attempts, MOST_BETWEEN_ATTEMPTS_MS) : cause,
  };
  return createClient({
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password }),
    ...(database !== undefined && { database }),
    name: 'millrace',
    // Replies of version 2 are the same for scripts and commands, and need no HELLO.
    RESP: 2,
    socket: tls === undefined ? socket : { ...socket, tls: true, ...certificates(tls) },
    pingInterval: silenceMs / 3,
    // A command that waits for the connection could apply when nobody waits for it any more.
    disableOfflineQueue: true,
  });
}

function certificates({ caFile }: { caFile?: string }): { ca?: Buffer } {
  if (caFile === undefined) return {};
  try {
    return { ca: readFileSync(caFile) };
  } catch (error) {
    throw new MillraceError(
      'config_invalid',
      { expected: 'a CA certificate', file: caFile },
      error,
    );
  }
}
