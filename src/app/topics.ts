import type { TopicDeclaration } from '../ports/event-log.ts';

/** Commands to running parts, keyed by id. */
export const COMMANDS = 'millrace.commands';
/** Statuses of running parts, keyed by component. */
export const STATUS = 'millrace.status';
/** What capture must remember beside its position: relations and their keys. */
export const CAPTURE_SCHEMAS = 'millrace.capture-schemas';

/** Which processors are to be built anew, from where, keyed by processor. */
export const REBUILDS = 'millrace.rebuilds';

/** Records of tables' topics that the lake's writer can make nothing of. */
export const LAKE_DEAD_LETTERS = 'lake.dead-letters';

/** Where the bad records of a processor go, and those that wait behind them. */
export function deadLetterTopic(processor: string): string {
  return `${processor}.dead-letters`;
}

/** The one declaration of all topics that are not a table's; capture declares those of tables. */
export function declaredTopics(processors: readonly string[]): TopicDeclaration[] {
  const compacted = [COMMANDS, STATUS, CAPTURE_SCHEMAS, REBUILDS];
  return [
    ...compacted.map((name) => ({ name, partitions: 1, cleanup: 'compact' }) as const),
    ...[...processors.map(deadLetterTopic), LAKE_DEAD_LETTERS].map(
      (name) => ({ name, partitions: 1, cleanup: 'delete' }) as const,
    ),
  ];
}
