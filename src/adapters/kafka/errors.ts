import { type ErrorCode, MillraceError } from '../../domain/errors.ts';

/**
 * What a broker answers instead of doing what it was asked, by its name in the protocol:
 * https://kafka.apache.org/protocol#protocol_error_codes. All others that are named here may go
 * away when asked again, perhaps another broker.
 */
const ANSWERS: Readonly<Record<string, ErrorCode>> = {
  SASL_AUTHENTICATION_FAILED: 'log_login_failed',
  UNSUPPORTED_SASL_MECHANISM: 'log_login_failed',
  ILLEGAL_SASL_STATE: 'log_login_failed',
  TOPIC_AUTHORIZATION_FAILED: 'log_refuses',
  GROUP_AUTHORIZATION_FAILED: 'log_refuses',
  CLUSTER_AUTHORIZATION_FAILED: 'log_refuses',
  TRANSACTIONAL_ID_AUTHORIZATION_FAILED: 'log_refuses',
  POLICY_VIOLATION: 'log_refuses',
  INVALID_CONFIG: 'log_refuses',
  INVALID_REPLICATION_FACTOR: 'log_refuses',
  INVALID_TOPIC_EXCEPTION: 'log_refuses',
  INVALID_SESSION_TIMEOUT: 'log_refuses',
  INVALID_TRANSACTION_TIMEOUT: 'log_refuses',
  INVALID_TIMESTAMP: 'log_refuses',
  GROUP_MAX_SIZE_REACHED: 'log_refuses',
  INCONSISTENT_GROUP_PROTOCOL: 'log_refuses',
  UNSUPPORTED_VERSION: 'log_unsuitable',
  // Once it was not known for long enough.
  UNKNOWN_TOPIC_OR_PARTITION: 'topic_missing',
  MESSAGE_TOO_LARGE: 'record_too_large',
  RECORD_LIST_TOO_LARGE: 'record_too_large',
  OFFSET_OUT_OF_RANGE: 'offset_out_of_range',
  CORRUPT_MESSAGE: 'log_corrupt',
  INVALID_PRODUCER_EPOCH: 'producer_fenced',
  PRODUCER_FENCED: 'producer_fenced',
  // The transaction is lost, and the producer with it; a new one goes on.
  OUT_OF_ORDER_SEQUENCE_NUMBER: 'log_unreachable',
  // It is stored, but not told where.
  DUPLICATE_SEQUENCE_NUMBER: 'log_unreachable',
  UNKNOWN_PRODUCER_ID: 'log_unreachable',
  INVALID_TXN_STATE: 'log_unreachable',
  INVALID_PRODUCER_ID_MAPPING: 'log_unreachable',
  TRANSACTION_COORDINATOR_FENCED: 'log_unreachable',
  TRANSACTION_ABORTABLE: 'log_unreachable',
};

const PASSING = new Set([
  'UNKNOWN_TOPIC_OR_PARTITION',
  'LEADER_NOT_AVAILABLE',
  'NOT_LEADER_OR_FOLLOWER',
  'REQUEST_TIMED_OUT',
  'BROKER_NOT_AVAILABLE',
  'REPLICA_NOT_AVAILABLE',
  'NETWORK_EXCEPTION',
  'COORDINATOR_LOAD_IN_PROGRESS',
  'COORDINATOR_NOT_AVAILABLE',
  'NOT_COORDINATOR',
  'NOT_CONTROLLER',
  'NOT_ENOUGH_REPLICAS',
  'NOT_ENOUGH_REPLICAS_AFTER_APPEND',
  'CONCURRENT_TRANSACTIONS',
  'OPERATION_NOT_ATTEMPTED',
  'KAFKA_STORAGE_ERROR',
  'FENCED_LEADER_EPOCH',
  'UNKNOWN_LEADER_EPOCH',
  'OFFSET_NOT_AVAILABLE',
  'ELIGIBLE_LEADERS_NOT_AVAILABLE',
  'THROTTLING_QUOTA_EXCEEDED',
  'UNKNOWN_SERVER_ERROR',
]);

/** The names of all that a broker answered, outermost first; empty when it did not answer. */
export function answersOf(error: unknown): string[] {
  return chainOf(error).flatMap((each) => ('apiId' in each ? [String(each.apiId)] : []));
}

export function hasAnswer(error: unknown, ...names: readonly string[]): boolean {
  return answersOf(error).some((name) => names.includes(name));
}

/** True when the same request may succeed a moment later, from this broker or another. */
export function isPassing(error: unknown): boolean {
  const answers = answersOf(error);
  if (answers.length > 0) return answers.every((name) => PASSING.has(name));
  return !isLogin(error) && isOfNetwork(error);
}

/** True when the broker closed the connection instead of answering. */
export function isHangUp(error: unknown): boolean {
  return chainOf(error).some(({ message }) => message === 'Connection closed');
}

/** Names the failures that an operator can mend; any other error comes back as it was. */
export function logError(error: unknown, facts: Record<string, unknown>): unknown {
  if (error instanceof MillraceError) return error;
  const code = codeOf(error);
  return code === undefined
    ? error
    : new MillraceError(code, { ...facts, said: saidBy(error) }, error);
}

function codeOf(error: unknown): ErrorCode | undefined {
  for (const answer of answersOf(error)) {
    const code = ANSWERS[answer];
    if (code !== undefined) return code;
  }
  if (isLogin(error)) return 'log_login_failed';
  return isPassing(error) ? 'log_unreachable' : undefined;
}

function isLogin(error: unknown): boolean {
  return chainOf(error).some((each) => {
    const code = 'code' in each && typeof each.code === 'string' ? each.code : '';
    // The broker's certificate is not trusted, is another host's, or it does not speak TLS, or only TLS.
    return (
      /^(PLT_KFK_AUTHENTICATION|ERR_TLS|ERR_SSL|EPROTO|CERT_|SELF_SIGNED|DEPTH_ZERO|UNABLE_TO_)/.test(
        code,
      ) ||
      (code === 'PLT_KFK_USER' && each.message.includes('TLS'))
    );
  });
}

function isOfNetwork(error: unknown): boolean {
  return chainOf(error).some(
    (each) =>
      'syscall' in each ||
      ('code' in each && (each.code === 'PLT_KFK_NETWORK' || each.code === 'PLT_KFK_TIMEOUT')),
  );
}

/** The innermost says most: what the system or the broker gave as its reason. */
function saidBy(error: unknown): string {
  const innermost = chainOf(error).at(-1);
  if (innermost === undefined) return String(error);
  const answer = 'apiId' in innermost ? `${String(innermost.apiId)}: ` : '';
  const server =
    'serverErrorMessage' in innermost && typeof innermost.serverErrorMessage === 'string'
      ? innermost.serverErrorMessage
      : innermost.message;
  return `${answer}${server}`;
}

function chainOf(error: unknown): Error[] {
  if (!(error instanceof Error)) return [];
  const inner = error instanceof AggregateError ? error.errors : [];
  return [error, ...[...inner, error.cause].flatMap(chainOf)];
}
