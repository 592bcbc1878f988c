import { definePipeline, defineTable, type Pipeline, topology } from '../../src/index.ts';

const payments = defineTable<{ id: number }, { id: number; amount: string }>({
  topic: 'dbserver1.public.payments',
  key: ['id'],
});

/** The largest amount so far of each parity of ids; two topologies of one processor. */
export function tallyOf(figureOf: (amount: number) => number, name = 'largest'): Pipeline {
  return definePipeline({
    name: 'tally',
    connector: '../connector.json',
    schema: 'create table if not exists payments (id int primary key, amount text not null);',
    processors: [
      topology('tally', {}, ({ created }) => {
        created(payments)
          .map(({ amount }) => figureOf(Number(amount)))
          .groupBy((_, { id }) => (id % 2 === 0 ? 'even' : 'odd'))
          .reduce((a, b) => Math.max(a, b), { name })
          .serve({ prefix: `${name}:` });
      }),
    ],
  });
}
