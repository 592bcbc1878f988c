import { setTimeout as wait } from 'node:timers/promises';
import { generate } from '../../pipelines/shop/generator.ts';
import { PostgresClient } from '../../src/adapters/postgres/client.ts';
import { isExpected, type WorkloadOptions } from './workload.ts';

const RECONNECT_MS = 25;

/**
 * The shop's generator on a server that `millrace up` does not generate for, a batch every
 * `intervalMs`; goes on after a lost connection.
 */
export async function runShop(
  { seed, facts, intervalMs = 100 }: WorkloadOptions & Readonly<{ intervalMs?: number }>,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    try {
      await using client = await PostgresClient.connect(await facts());
      const { query } = client;
      const transaction: typeof client.transaction = (work) => client.transaction(work);
      const pace = { recordsPerBatch: 20, intervalMs, onBatch: () => {} };
      await generate({ query, transaction }, { seed, ...pace }, signal);
    } catch (error) {
      if (!isExpected(error)) throw error;
      await wait(RECONNECT_MS);
    }
  }
}
