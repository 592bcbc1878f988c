import pg from 'pg';
import { type ErrorCode, MillraceError } from '../../domain/errors.ts';

const AS_SINK: Partial<Record<ErrorCode, ErrorCode>> = {
  source_unreachable: 'sink_unreachable',
  source_login_failed: 'sink_login_failed',
  source_not_ready: 'sink_not_ready',
};

/** Names the failures of a sink's server; `at` says where, and goes into the message. */
export function sinkError(error: unknown, at: Readonly<{ table: string }>): unknown {
  if (error instanceof MillraceError) {
    const code = AS_SINK[error.code];
    return code === undefined ? error : new MillraceError(code, { ...at, ...error.facts }, error);
  }
  if (!(error instanceof pg.DatabaseError)) return error;
  const facts = { ...at, sqlstate: error.code, said: error.message };
  return new MillraceError(mends(error) ? 'sink_failed' : 'sink_not_ready', facts, error);
}

/**
 * Whether the server refuses this row rather than the statement: its data (22), a constraint (23), a
 * trigger or check option (09, 27, 44, P0), or two spellings of one key in a statement (21).
 * See https://www.postgresql.org/docs/current/errcodes-appendix.html
 */
export function isOfRow(error: unknown): error is pg.DatabaseError {
  return error instanceof pg.DatabaseError && /^(09|21|22|23|27|44|P0)/.test(error.code ?? '');
}

/** Whether the table is not as it was when its columns were read. */
export function isOfChangedTable(error: unknown): boolean {
  return error instanceof pg.DatabaseError && /^(42703|42704|42P01|428C9)$/.test(error.code ?? '');
}

/** A conflict with another transaction, a lack of resources, an operator's doing: all pass. */
function mends({ code = '' }: pg.DatabaseError): boolean {
  return /^(25|40|53|54|55|57|58|XX)/.test(code);
}
