import { eventLogContract } from '../../../test/contracts/event-log.ts';
import { MemoryEventLog } from './event-log.ts';

for (const markers of [false, true]) {
  eventLogContract(`MemoryEventLog${markers ? ' with markers' : ''}`, async () => {
    const log = new MemoryEventLog({ markers });
    return { log, [Symbol.asyncDispose]: () => log[Symbol.asyncDispose]() };
  });
}
