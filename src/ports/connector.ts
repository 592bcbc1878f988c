import type { ConnectorStatus } from '../domain/status.ts';

/**
 * Carries the changes of one source into the log, by a Debezium-style configuration.
 *
 * The same configuration gives the same records, whichever connector runs it.
 */
export interface Connector {
  readonly name: string;

  /**
   * Ends when `signal` aborts, with nothing confirmed that is not durable. Throws when the source
   * or the log fails; run again, it goes on where the log ends.
   */
  run(signal: AbortSignal): Promise<void>;

  /**
   * Stops reading until `resume`; the slot keeps the WAL meanwhile. Native, it survives no restart; with
   * Debezium it does.
   */
  pause(): void;
  resume(): void;

  /**
   * Copies the tables behind these topics anew while changes flow. A table that is being copied, or
   * waits for it, is not copied twice. The order waits while the connector does not stream.
   *
   * Resolves once the order is durable: from then on it survives a restart, and shows in the status.
   * Rejects with `topic_not_captured`, and then copies nothing, where one of them is no table's here.
   */
  copy(topics: readonly string[]): Promise<void>;

  status(): ConnectorStatus;
}
