import { definePipeline, type Pipeline, type Processor } from '../../src/index.ts';

const NUMBERS: Readonly<Record<string, string>> = { four: '4' };

/** Sums the amounts of all changes, which are written as text, and rejects those that it cannot read. */
function processorThatReads(read: (text: string) => string): Processor {
  const amountOf = ({ amount }: Readonly<Record<string, unknown>>): string => {
    const text = read(String(amount));
    if (!/^\d+$/.test(text)) throw new Error(`"${text}" is no amount`);
    return text;
  };
  return {
    name: 'payments',
    topics: ['dbserver1.public.payments'],
    process({ after }, context) {
      if (after === null) return;
      context.serve({ op: 'add', key: 'payments:total', amount: amountOf(after) });
    },
  };
}

const payments = (read: (text: string) => string): Pipeline =>
  definePipeline({
    name: 'payments',
    connector: '../connector.json',
    schema: 'CREATE TABLE IF NOT EXISTS payments (id int PRIMARY KEY, amount text)',
    processors: [processorThatReads(read)],
  });

export const strict = payments((text) => text);

/** Knows a word that the strict one rejects. */
export const mended = payments((text) => NUMBERS[text] ?? text);
