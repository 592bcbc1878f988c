import { CommanderError } from 'commander';
import { MillraceError, remedyFor } from '../domain/errors.ts';

export type Failure = Readonly<{ exitCode: number; text: string; json: unknown }>;

/** The one place that says how an error ends the command: what is printed, and the exit code. */
export function describeFailure(error: unknown): Failure {
  if (error instanceof CommanderError) return usageFailure(error);
  if (error instanceof MillraceError) return namedFailure(error);
  return bugFailure(error);
}

function usageFailure(error: CommanderError): Failure {
  const message = error.message.replace(/^error: /, '').replaceAll('\n', ' ');
  return {
    // Help and version are what was asked for; commander throws to end there.
    exitCode: error.exitCode === 0 ? 0 : 2,
    text: `millrace: ${message}\n  → See --help.`,
    json: { error: { code: 'usage', message, hint: 'See --help.', exitCode: 2 } },
  };
}

function namedFailure(error: MillraceError): Failure {
  const { exit, hint } = remedyFor(error);
  const reason = causeOf(error);
  // What a server or an engine said is its reason; an error around it says less.
  const isSaid =
    reason === undefined ||
    'said' in error.facts ||
    'problem' in error.facts ||
    toJson(error.facts).includes(toJson(reason).slice(1, -1));
  const because = isSaid ? undefined : reason;
  return {
    exitCode: exit,
    text: [
      `millrace: ${error.code}`,
      ...Object.entries(error.facts).flatMap(([name, value]) => factLines(name, value)),
      ...(because === undefined ? [] : [`  because: ${because}`]),
      `  → ${hint}`,
    ].join('\n'),
    json: { error: { code: error.code, facts: error.facts, because, hint, exitCode: exit } },
  };
}

function bugFailure(error: unknown): Failure {
  const { exit, hint } = remedyFor(error);
  const message = error instanceof Error ? error.message : String(error);
  const stack = error instanceof Error ? (error.stack ?? message) : message;
  return {
    exitCode: exit,
    text: `millrace: unexpected error\n${stack}\n  → ${hint}`,
    json: { error: { code: 'unexpected', message, stack, hint, exitCode: exit } },
  };
}

function factLines(name: string, value: unknown): string[] {
  if (Array.isArray(value)) {
    return [`  ${name}:`, ...value.map((each: unknown) => `    - ${inline(each)}`)];
  }
  const [first = '', ...more] = inline(value).trim().split('\n');
  if (more.length === 0) return [`  ${name}: ${first}`];
  return [`  ${name}:`, ...[first, ...more].map((line) => `    ${line}`)];
}

function inline(value: unknown): string {
  return typeof value === 'string' ? value : toJson(value);
}

/** JSON that takes LSNs too, which are bigints. */
export function toJson(value: unknown): string {
  return (
    JSON.stringify(value, (_, each: unknown) => (typeof each === 'bigint' ? String(each) : each)) ??
    'null'
  );
}

/** The innermost message is the one that names the system's own reason. */
function causeOf(error: Error): string | undefined {
  let cause: unknown = error.cause;
  while (cause instanceof Error && cause.cause instanceof Error) cause = cause.cause;
  return cause instanceof Error ? cause.message : undefined;
}
