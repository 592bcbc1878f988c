import { existsSync, writeFileSync } from 'node:fs';
import { definePipeline } from '../../../src/index.ts';

/**
 * Adds up the amounts of each payment, in state, served and put out to a topic. A payment with a
 * file's name leaves the file, and strikes the thread that first takes it in: that dies, or hangs.
 */
export const pipeline = definePipeline({
  name: 'struck',
  connector: '../connector.json',
  partitions: { 'dbserver1.public.payments': 4 },
  processors: [
    {
      name: 'struck',
      topics: ['dbserver1.public.payments'],
      reads: ({ key }) => [JSON.stringify(key)],
      process({ key, after }, context) {
        if (after === null) return;
        const { amount, file, by } = after as { amount: number; file?: string; by?: string };
        if (file !== undefined && !existsSync(file)) {
          writeFileSync(file, '');
          if (by === 'paralysis') Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
          setImmediate(() => {
            throw new Error('struck by lightning');
          });
        }
        const id = JSON.stringify(key);
        const total = Number(context.state.get(id) ?? '0') + amount;
        context.state.set(id, String(total));
        context.serve({ op: 'put', key: `total:${id}`, value: String(total) });
        context.serve({ op: 'add', key: 'payments', amount: '1' });
        context.forward({ topic: 'totals', key: id, value: String(total), partition: 0 });
      },
    },
  ],
});
