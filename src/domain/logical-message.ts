/**
 * The prefix of the messages that Millrace itself emits, so that the WAL moves on where nobody
 * writes. Both connectors leave them out, unless the configuration asks for them by name.
 */
export const OWN_PREFIX = 'millrace';

/** What a record of a connector's message topic tells. */
export type LogicalMessage = Readonly<{
  prefix: string;
  content: Buffer;
  /** That of the rows changed by the same transaction; null for a message of no transaction. */
  txId: number | null;
  lsn: number;
  /** Commit time; without a transaction, that of the one before. */
  atMs: number;
}>;

/** Where a connector writes logical messages, as Debezium names it. */
export function messageTopic(topicPrefix: string): string {
  return `${topicPrefix}.message`;
}

/**
 * Reads the value of a record of a message topic, written with any `binary.handling.mode` but hex.
 * Throws a SyntaxError that says what is wrong with anything else.
 */
export function decodeMessage(value: Uint8Array): LogicalMessage {
  const event: unknown = JSON.parse(Buffer.from(value).toString());
  if (!isMessageEvent(event)) throw new SyntaxError('not a logical message: op is not m');
  const { message, source } = event;
  return {
    prefix: message.prefix,
    content: Buffer.from(message.content, 'base64'),
    txId: source.txId,
    lsn: source.lsn,
    atMs: source.ts_ms,
  };
}

type MessageEvent = Readonly<{
  op: 'm';
  source: Readonly<{ txId: number | null; lsn: number; ts_ms: number }>;
  message: Readonly<{ prefix: string; content: string }>;
}>;

function isMessageEvent(value: unknown): value is MessageEvent {
  if (typeof value !== 'object' || value === null) return false;
  const { op, source, message } = value as Partial<MessageEvent>;
  return (
    op === 'm' &&
    typeof source?.ts_ms === 'number' &&
    typeof message?.prefix === 'string' &&
    typeof message.content === 'string'
  );
}
