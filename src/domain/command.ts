/**
 * What an operator asks of a running part: a record in the command topic, keyed by `id`. The part
 * answers by its status. Commands older than the part's own start are not obeyed.
 */
export type Command = Readonly<{ id: string; atMs: number }> &
  (
    | Readonly<{ do: 'pause' | 'resume'; connector: string }>
    /** Begin anew what the connector does: its connections, or what has failed of it. */
    | Readonly<{ do: 'restart'; connector: string }>
    /** Copy the tables behind these topics anew, while changes flow. */
    | Readonly<{ do: 'copy'; connector: string; topics: readonly string[] }>
    /**
     * Stop before these offsets (by `topic-partition`), at once where a partition is not named;
     * a later hold of the same id replaces it. Ends by `release`, or by itself after `leaseMs`.
     */
    | Readonly<{
        do: 'hold';
        processor: string;
        hold: string;
        at: Readonly<Record<string, number>> | 'now';
        leaseMs: number;
      }>
    | Readonly<{ do: 'release'; processor: string; hold: string }>
    /** Try parked records again (`drop`: without the first of each key), of one key or of all. */
    | Readonly<{
        do: 'dlq-replay' | 'dlq-drop';
        processor: string;
        topic: string;
        partition: number;
        key: string | null;
      }>
    | Readonly<{ do: 'dlq-replay-all' | 'dlq-drop-all'; processor: string }>
  );
