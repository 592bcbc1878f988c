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

  /** Stops reading until `resume`; the slot keeps the WAL meanwhile. Survives no restart. */
  pause(): void;
  resume(): void;

  status(): ConnectorStatus;
}
