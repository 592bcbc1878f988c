import type { EventLog } from '../src/ports/event-log.ts';

/** A log whose appends may fail, before or after they are durable, as in a crash. */
export function cutting(log: EventLog, mayCut: (isDurable: boolean) => void): EventLog {
  return new Proxy(log, {
    get(target, name, receiver): unknown {
      if (name !== 'openProducer') {
        const value: unknown = Reflect.get(target, name, receiver);
        return typeof value === 'function' ? value.bind(target) : value;
      }
      return async (producerName: string) => {
        const producer = await target.openProducer(producerName);
        return {
          position: producer.position,
          close: () => producer.close(),
          append: async (...what: Parameters<typeof producer.append>) => {
            mayCut(false);
            await producer.append(...what);
            mayCut(true);
          },
        };
      };
    },
  });
}
