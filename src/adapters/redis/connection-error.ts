import {
  ClientOfflineError,
  ConnectionTimeoutError,
  DisconnectsClientError,
  ErrorReply,
  ReconnectStrategyError,
  SocketClosedUnexpectedlyError,
  SocketTimeoutError,
} from 'redis';
import { type ErrorCode, MillraceError } from '../../domain/errors.ts';
import type { RedisAddress } from './client.ts';

/** Names the failures that an operator can mend; any other error comes back as it was. */
export function storeError(error: unknown, at: RedisAddress): unknown {
  if (error instanceof ReconnectStrategyError) return storeError(error.originalError, at);
  if (!(error instanceof Error)) return error;
  const [code, advice] =
    error instanceof ErrorReply ? meaningOfReply(error.message) : [codeOfFailure(error)];
  if (code === undefined) return error;
  const systemCode = 'code' in error ? String(error.code) : error.name;
  const said = error.message === '' ? systemCode : error.message;
  const address = `${at.host}:${at.port}`;
  return new MillraceError(code, { address, said, ...(advice !== undefined && { advice }) }, error);
}

/** Whether a replica refused what only a primary does. */
export function isOfReplica(error: unknown): error is Error {
  return error instanceof ErrorReply && /^(READONLY|MASTERDOWN)/.test(error.message);
}

type Meaning = readonly [code?: ErrorCode, advice?: string];

const NAME_THE_PRIMARY = 'this is a replica: REDIS_HOST must lead to the primary';
const GRANT = 'grant the user what it lacks: ~* +@read +@write +@scripting +@connection +info';

// The first word of an error reply is its kind: https://redis.io/docs/latest/develop/reference/protocol-spec/
const REPLIES: Readonly<Record<string, Meaning>> = {
  WRONGPASS: ['store_login_failed', 'correct REDIS_USERNAME and REDIS_PASSWORD'],
  NOAUTH: ['store_login_failed', 'set REDIS_PASSWORD, and REDIS_USERNAME for a user of the ACL'],
  NOPERM: ['store_login_failed', GRANT],
  LOADING: ['store_unreachable', 'wait until it has read its files'],
  BUSY: ['store_unreachable', 'a script of another client runs: SCRIPT KILL ends it'],
  MASTERDOWN: ['store_unreachable', NAME_THE_PRIMARY],
  READONLY: ['store_refuses_writes', NAME_THE_PRIMARY],
  OOM: ['store_refuses_writes', 'raise maxmemory, or move what else is kept there'],
  MISCONF: ['store_refuses_writes', 'its log says why it cannot save: mostly the disk is full'],
  NOREPLICAS: [
    'store_refuses_writes',
    'bring back the replicas that min-replicas-to-write asks for',
  ],
};

function meaningOfReply(said: string): Meaning {
  if (/^ERR (AUTH|invalid password|DB index)/.test(said)) return ['store_login_failed'];
  if (said.startsWith('ERR The user executing the script')) return ['store_login_failed', GRANT];
  if (said.startsWith('ERR max number of clients')) {
    return ['store_unreachable', 'raise maxclients, or close other connections'];
  }
  return REPLIES[said.split(' ', 1)[0] ?? ''] ?? [];
}

const LOST = [
  ClientOfflineError,
  ConnectionTimeoutError,
  DisconnectsClientError,
  SocketClosedUnexpectedlyError,
  SocketTimeoutError,
];

function codeOfFailure(error: Error): ErrorCode | undefined {
  const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
  // The server's certificate is not trusted, is another host's, or it does not speak TLS.
  if (/^(ERR_TLS|ERR_SSL|EPROTO|CERT_|SELF_SIGNED|DEPTH_ZERO|UNABLE_TO_)/.test(code)) {
    return 'store_login_failed';
  }
  // A host with several addresses fails with all their errors in one.
  const isOfNetwork = 'syscall' in error || error instanceof AggregateError;
  return isOfNetwork || LOST.some((kind) => error instanceof kind)
    ? 'store_unreachable'
    : undefined;
}
