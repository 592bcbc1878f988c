import type { ConnectionFacts } from '../../adapters/postgres/connection.ts';
import type { Supervised } from '../../lib/supervise.ts';
import type { DataPlaces } from '../compose.ts';
import type { Config } from '../config/config.ts';
import type { Environment } from '../config/environment.ts';
import { failureOf, type Failure } from '../failure.ts';
import type { ConnectorEngine } from '../open-connector.ts';

/** What a worker thread is given. */
export type WorkerTask = Readonly<{
  role: 'capture' | 'stream';
  pipelineDir: string;
  /** Where log and store are. */
  places: DataPlaces;
  stream: Config['stream'];
  /** Only these processors; all where it is empty. */
  processors: readonly string[];
  /** It ends, with its failure, once none of its processors could go on; else it goes on telling of them. */
  endsWhenAllFail: boolean;
  /** Which thread of how many of its role it is, from 0. */
  share: Readonly<{ index: number; of: number }>;
  wake: SharedArrayBuffer;
  /** `gateMemory()`, of this thread alone. */
  gate: SharedArrayBuffer;
  /** Fills in the connector's file. */
  environment: Environment;
  server: ConnectionFacts;
  source: Config['source'];
  adoptSlot: boolean;
  engine: ConnectorEngine;
  /** Who it is, where others may run the same parts. */
  worker: string | undefined;
}>;

/** What it tells; it is told only to stop, by any message. */
export type WorkerMessage =
  | Readonly<{ kind: 'part'; part: string; state: PartState }>
  /** It could not start. */
  | Readonly<{ kind: 'failed'; failure: Failure }>;

/** As `Supervised`, with the failure in a form that travels. */
export type PartState =
  | Readonly<{ state: 'running' | 'stopped' }>
  | Readonly<{ state: 'waiting' | 'failed'; failure: Failure }>;

export function partStateOf(supervised: Supervised): PartState {
  return 'error' in supervised
    ? { state: supervised.state, failure: failureOf(supervised.error) }
    : supervised;
}
