import type { LakeWriterStatus } from '../../domain/status.ts';
import type { Clock } from '../../lib/clock.ts';
import type { EventLog } from '../../ports/event-log.ts';
import type { SqlEngine } from '../../ports/sql-engine.ts';
import type { ValueModes } from './column-type.ts';
import type { Lake } from './lake.ts';
import type { SourceTable } from './writer/source-table.ts';

export type LakeWriterOptions = Readonly<{
  lake: Lake;
  log: EventLog;
  /** The writer's own: its statements wait for nobody else's. */
  engine: SqlEngine;
  clock: Clock;
  /** Whether a topic of the log holds the changes of a captured table; asked again at each flush, as tables come. */
  isTable: (topic: string) => boolean;
  /** Where the connector writes logical messages: `<prefix>.message`. It may not be there yet. */
  messageTopic: string;
  /** Where records that are no change events go. */
  deadLetterTopic: string;
  /** Asked when events show columns or values that the lake's columns are not made for; undefined: no longer there. */
  describe: (topic: string) => Promise<SourceTable | undefined>;
  /** Asked once when the log no longer holds records that the lake lacks: to have the table copied again. */
  onMissingHistory: (topic: string) => Promise<void>;
  /** How the connector writes values. */
  modes: ValueModes;
  flushEveryMs: number;
  onStatus: (status: LakeWriterStatus) => void;
}>;
