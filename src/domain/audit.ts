import { MillraceError } from './errors.ts';

/** The prefix of the logical messages that say who changes something. */
export const AUDIT_PREFIX = 'audit';

/** Every message stands in the WAL, and in the log, once more than the changes that it is about. */
const MAX_BYTES = 64 * 1024;

/** Who changes something; anything else that JSON can hold may be said with it. */
export type Audit = Readonly<{ actor: string; [fact: string]: unknown }>;

/**
 * The statement by which a transaction says who makes its changes. It needs no table and no right;
 * a transaction that is rolled back has said nothing.
 *
 * ```ts
 * await client.query('BEGIN');
 * await client.query(auditStatement({ actor: 'jane@example.com', reason: 'refund 4711' }));
 * await client.query(`UPDATE orders SET status = 'cancelled' WHERE id = 1`);
 * await client.query('COMMIT');
 * ```
 *
 * Throws `audit_invalid` where there is no actor, or more than 64 KiB of facts.
 */
export function auditStatement(audit: Audit): { text: string; values: string[] } {
  const { actor } = audit;
  if (typeof actor !== 'string' || actor === '')
    throw new MillraceError('audit_invalid', {
      expected: 'an actor: text that is not empty',
      found: actor === '' ? 'an empty text' : typeof actor,
    });
  const content = contentOf(audit);
  const bytes = Buffer.byteLength(content);
  if (bytes > MAX_BYTES)
    throw new MillraceError('audit_invalid', {
      expected: `at most ${MAX_BYTES} bytes as JSON`,
      found: `${bytes} bytes`,
    });
  return { text: 'SELECT pg_logical_emit_message(true, $1, $2)', values: [AUDIT_PREFIX, content] };
}

/** What the content of an `audit` message says; of text that is no JSON object, the actor is that text. */
export function auditOf(content: Uint8Array): Partial<Audit> {
  const text = Buffer.from(content).toString();
  const said = objectIn(text);
  if (said === undefined) return text === '' ? {} : { actor: text };
  const { actor, ...facts } = said;
  if (actor === undefined || actor === null) return facts;
  return { actor: typeof actor === 'string' ? actor : JSON.stringify(actor), ...facts };
}

function contentOf(audit: Audit): string {
  try {
    return JSON.stringify(audit);
  } catch (error) {
    const found = error instanceof Error ? error.message : String(error);
    throw new MillraceError(
      'audit_invalid',
      { expected: 'facts that JSON can hold', found },
      error,
    );
  }
}

function objectIn(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
    return isObject ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined; // Plain text is as good.
  }
}
