import type { Command } from '../../domain/command.ts';
import type { LogRecord } from '../../domain/record-block.ts';
import type { EventLog } from '../../ports/event-log.ts';

/** A command to a processor. */
export type ProcessorCommand = Extract<Command, { processor: string }>;

/**
 * Commands to one processor from `offset` of the command topic on, until `signal` aborts. What is
 * not a command is passed over: others may write to the topic, and nothing depends on it.
 */
export async function* followCommands(
  log: EventLog,
  { topic, offset, processor }: Readonly<{ topic: string; offset: number; processor: string }>,
  signal: AbortSignal,
): AsyncGenerator<ProcessorCommand, void, undefined> {
  for await (const { records } of log.read({ topic, partition: 0, offset }, signal)) {
    for (const record of records) {
      const command = decodeCommand(record);
      if (command !== undefined && 'processor' in command && command.processor === processor) {
        yield command;
      }
    }
  }
}

function decodeCommand({ value }: LogRecord): Command | undefined {
  if (value === null) return undefined;
  try {
    const command: unknown = JSON.parse(Buffer.from(value).toString('utf8'));
    const isCommand = typeof command === 'object' && command !== null && 'do' in command;
    return isCommand ? (command as Command) : undefined;
  } catch {
    return undefined;
  }
}
