import { eventLogContract } from '../../../test/contracts/event-log.ts';
import { MemoryEventLog } from './event-log.ts';

eventLogContract('MemoryEventLog', async () => {
  const log = new MemoryEventLog();
  return { log, [Symbol.asyncDispose]: () => log[Symbol.asyncDispose]() };
});
