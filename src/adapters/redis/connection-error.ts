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

/** Names the failures that an operator can mend; any other error comes back as it was. */
export function storeError(error: unknown, address: string): unknown {
  if (error instanceof ReconnectStrategyError) return storeError(error.originalError, address);
  if (!(error instanceof Error)) return error;
  const code = error instanceof ErrorReply ? codeOfReply(error.message) : codeOfFailure(error);
  if (code === undefined) return error;
  const systemCode = 'code' in error ? String(error.code) : error.name;
  const said = error.message === '' ? systemCode : error.message;
  return new MillraceError(code, { address, said }, error);
}

// The first word of an error reply is its kind: https://redis.io/docs/latest/develop/reference/protocol-spec/
const REPLIES: Readonly<Record<string, ErrorCode>> = {
  WRONGPASS: 'store_login_failed',
  NOAUTH: 'store_login_failed',
  NOPERM: 'store_login_failed',
  LOADING: 'store_unreachable',
  MASTERDOWN: 'store_unreachable',
  BUSY: 'store_unreachable',
  OOM: 'store_refuses_writes',
  MISCONF: 'store_refuses_writes',
  READONLY: 'store_refuses_writes',
  NOREPLICAS: 'store_refuses_writes',
};

function codeOfReply(said: string): ErrorCode | undefined {
  if (/^ERR (AUTH|invalid password|DB index)/.test(said)) return 'store_login_failed';
  if (said.startsWith('ERR max number of clients')) return 'store_unreachable';
  return REPLIES[said.split(' ', 1)[0] ?? ''];
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
