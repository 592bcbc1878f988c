import { randomBytes } from 'node:crypto';
import { LmdbEventLog } from '../../src/adapters/lmdb/event-log.ts';
import { MillraceError } from '../../src/domain/errors.ts';
import { blocksOf } from '../../src/domain/record-block.ts';

// Appends to `topic` of the log in the folder given until it fails, then prints how many appends
// succeeded, the codes of this and a further failure, and how many records there are; at last a
// small append by a producer opened anew, for which there is space.
const [dir = ''] = process.argv.slice(2);
await using log = await LmdbEventLog.open({
  dir,
  retention: { ms: 3_600_000, bytes: 2 ** 33 },
});
await log.createTopics([{ name: 'topic', partitions: 1, cleanup: 'delete' }]);
const producer = await log.openProducer('p');

const codeOf = (error: unknown): string =>
  error instanceof MillraceError ? error.code : String(error);
const block = (bytes: number) =>
  blocksOf([
    {
      topic: 'topic',
      partition: 0,
      record: { key: null, value: randomBytes(bytes), timestampMs: 0, headers: [] },
    },
  ]);

const codes: string[] = [];
let appended = 0;
while (codes.length < 2) {
  try {
    await producer.append([...block(10), ...block(300_000)], `${appended}`);
    appended += 1;
  } catch (error) {
    codes.push(codeOf(error));
  }
}
const { end } = await log.offsets({ topic: 'topic', partition: 0 });
const again = await log.openProducer('p');
const outcome = await again.append(block(10), 'after').then(() => 'goes on', codeOf);
process.stdout.write([appended, ...codes, `${end} records`, outcome].join('\n') + '\n');
