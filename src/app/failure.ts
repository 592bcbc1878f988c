import { MillraceError, REMEDIES, type ErrorCode } from '../domain/errors.ts';

/** A failure on its way to another thread or process, where an Error can't go as it is. */
export type Failure = Readonly<{
  /** Undefined for what is no named failure. */
  code?: ErrorCode;
  facts?: Readonly<Record<string, unknown>>;
  message: string;
  stack?: string;
}>;

export function failureOf(error: unknown): Failure {
  if (error instanceof MillraceError) {
    return {
      code: error.code,
      facts: plain(error.facts),
      message: error.message,
      ...stackOf(error),
    };
  }
  if (error instanceof Error) return { message: error.message, ...stackOf(error) };
  return { message: String(error) };
}

/** The error again, so that `remedyFor` decides about it as where it happened. */
export function errorOf(failure: Failure): Error {
  const { code, facts, message, stack } = failure;
  const known = code !== undefined && Object.hasOwn(REMEDIES, code);
  const error = known ? new MillraceError(code, { ...facts }) : new Error(message);
  if (stack !== undefined) error.stack = stack;
  return error;
}

/** Causes are told by the stack, since they decide nothing. */
function stackOf(error: Error): { stack?: string } {
  const causes: string[] = [];
  for (let cause = error.cause; cause instanceof Error && causes.length < 5; cause = cause.cause)
    causes.push(`caused by ${cause.stack ?? cause.message}`);
  return error.stack === undefined ? {} : { stack: [error.stack, ...causes].join('\n') };
}

function plain(facts: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const text = JSON.stringify(facts, (_, value: unknown) =>
    typeof value === 'bigint' ? String(value) : value,
  );
  return JSON.parse(text) as Record<string, unknown>;
}
