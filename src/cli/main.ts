import { CommanderError } from 'commander';
import { readEnvironment } from '../app/config/environment.ts';
import { describeFailure, toJson } from './failure.ts';
import { Interruption } from './interruption.ts';
import { createProgram } from './program.ts';
import { Terminal } from './terminal.ts';

const terminal = new Terminal({
  out: process.stdout,
  err: process.stderr,
  noColour: (process.env['NO_COLOR'] ?? '') !== '',
});
const interruption = new Interruption(process);

const context = {
  terminal,
  environment: () => readEnvironment(process.cwd(), process.env),
  cwd: process.cwd(),
  signal: interruption.signal,
  runsUntilTold: interruption.runUntilTold,
  leaveInterruptsToChild: interruption.leaveToChild,
  foundFailure: () => {
    process.exitCode = 1;
  },
};

try {
  const program = await createProgram(context, process.argv.slice(2));
  await program.parseAsync(process.argv);
} catch (error) {
  const isTold = interruption.signal.aborted && error instanceof Error;
  if (!(isTold && error.name === 'AbortError')) fail(error);
}
process.exitCode ??= interruption.exitCode;

function fail(error: unknown): void {
  const failure = describeFailure(error);
  process.exitCode = failure.exitCode;
  // Commander has printed what was asked for, or the help of a command that needs another one.
  if (error instanceof CommanderError && (failure.exitCode === 0 || isHelp(error))) return;
  terminal.note(process.argv.includes('--json') ? toJson(failure.json) : failure.text);
}

function isHelp({ code }: CommanderError): boolean {
  return code === 'commander.help';
}
