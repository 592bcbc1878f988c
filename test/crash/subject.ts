import type { Kill, Victim } from './plan.ts';

/** What a round ends with -9 and starts again. */
export interface Subject extends AsyncDisposable {
  start(): Promise<void>;
  /** Throws when a process has ended by itself. */
  until(since: Kill['since']): Promise<void>;
  kill(victim: Victim): Promise<void>;
  startAgain(victim: Victim): Promise<void>;
  /** With the load going on, and no more kills: the store is found equal to the source. */
  reconcile(): Promise<void>;
  /**
   * With nobody changing the tables: returns when all is captured and processed, and the store was
   * found equal to the source. PostgreSQL is up then, Millrace as well.
   */
  settle(): Promise<void>;
  /** Ends Millrace in order; throws when it then fails. */
  stop(): Promise<void>;
}
