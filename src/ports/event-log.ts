import type { LogRecord, RecordBlock } from '../domain/record-block.ts';

/** One append-only sequence of a topic. Offsets only grow, and may have gaps. */
export type TopicPartition = Readonly<{ topic: string; partition: number }>;

/** One declaration of a topic; every adapter creates topics from it and from nothing else. */
export type TopicDeclaration = Readonly<{
  name: string;
  /** Fixed for the topic's life: keys would move. */
  partitions: number;
  /** `compact` keeps at least the newest record of each key, for ever. */
  cleanup: 'delete' | 'compact';
}>;

/** What a reader is given at once. */
export type LogBatch = Readonly<{
  /** In offset order. None where only the position moved on. */
  records: readonly LogRecord[];
  /** Where reading goes on: every record before it was yielded. Past the last record's by more than one where offsets have gaps. */
  next: number;
}>;

/** Writes as one named producer; what it last did is read back from the log itself. */
export interface Producer {
  /** The position stored by the last append that had one; undefined before the first. */
  readonly position: string | undefined;

  /**
   * Makes all blocks, of however many partitions, and the position durable in one step: both, or
   * neither. Without `position` the stored one stays. Blocks may be empty of records: then the
   * position alone is stored. Once it has settled, the caller may reuse the blocks' bytes. Appends of one producer may overlap; they land in the order called.
   *
   * Rejects with `producer_fenced` once a newer producer of this name was opened, with
   * `topic_missing`, and with `disk_full`; after a rejection nothing of the append is readable,
   * appends called after it have failed too, and the producer must be opened again; so it is with
   * `producer_expired`, when the log forgot a producer that was idle for long. With
   * `log_unreachable` what became of the append may be open until then: the position tells.
   */
  append(blocks: readonly RecordBlock[], position?: string): Promise<void>;

  close(): Promise<void>;
}

/** What a member of a consumer group is to read, until the next assignment. */
export type Assignment = readonly TopicPartition[];

/**
 * An append-only, partitioned record of what happened.
 *
 * Contract, checked for every adapter by `test/contracts/event-log.ts`:
 * - When `append` resolves, the records are durable and readable, in order, whole or not at all.
 * - A name has one live producer: opening it again fences the one before, also across processes.
 * - `read` yields each record at or after `from` once, in offset order, then waits for more.
 * - Deleting old records never renumbers those that remain.
 * - Readers in other threads of the process see appends without polling.
 */
export interface EventLog extends AsyncDisposable {
  /**
   * Creates what is missing. A topic that exists with another partition count is refused with
   * `topic_partitions_changed`.
   */
  createTopics(declarations: readonly TopicDeclaration[]): Promise<void>;

  /** Every topic there is, in name order. */
  topics(): Promise<readonly TopicDeclaration[]>;

  openProducer(name: string): Promise<Producer>;

  /** The position that the producer of this name stored last, without fencing it. */
  positionOf(producer: string): Promise<string | undefined>;

  /**
   * Yields records and how far reading has come, which reaches the end that `offsets` tells even
   * where no record stands before it. Ends, without an error, when `signal` aborts. Keys and
   * values are views that stay valid and unchanged for as long as the caller holds them.
   *
   * Fails with `offset_out_of_range` when records at or after `from` were removed by retention
   * (compaction is no removal), or `from` lies beyond the end; with `topic_missing`.
   */
  read(from: TopicPartition & { offset: number }, signal: AbortSignal): AsyncIterable<LogBatch>;

  /** `start`: the oldest record that may be read; `end`: no record that may be read now is at or after it. */
  offsets(partition: TopicPartition): Promise<Readonly<{ start: number; end: number }>>;

  /** The offset of the first record whose timestamp is at or after `timestampMs`, else the end. */
  offsetAt(partition: TopicPartition, timestampMs: number): Promise<number>;

  /**
   * Joins a consumer group: yields what this member is to read now, and again at each change, until
   * `signal` aborts, which leaves the group. Each partition of `topics` belongs to one member at a
   * time; a member that was cut off may not know yet, which the store's commit then tells it.
   */
  join(group: string, topics: readonly string[], signal: AbortSignal): AsyncIterable<Assignment>;

  /**
   * Removes what is past its retention, where no server does it; returns how much in the
   * adapter's own terms. To be called now and then.
   */
  applyRetention(): Promise<number>;

  /** Bytes that the log's files take on disk, where they are this process's own. */
  sizeBytes(): Promise<number | undefined>;
}
