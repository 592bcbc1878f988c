import type { EventLog } from '../src/ports/event-log.ts';
import type { Store } from '../src/ports/store.ts';

/** Where a run is killed: at its nth call of a port, before or after the call took effect. */
export type Crash = Readonly<{ call: number; when: 'before' | 'after' }>;
export type World = Readonly<{ log: EventLog; store: Store }>;

export class Killed extends Error {}

/** The ports as one process sees them, until it is killed: from then on no call has an effect. */
export function mortal({ log, store }: World, crash: Crash | undefined): World {
  let calls = 0;
  let isDead = false;
  const wrapped = <T extends object>(port: T): T =>
    new Proxy(port, {
      get: (target, name) => {
        const member: unknown = Reflect.get(target, name, target);
        if (typeof member !== 'function') return member;
        return (...args: unknown[]) => {
          if (name === 'join') return member.apply(target, args) as unknown;
          const isFatal = calls++ === crash?.call;
          if (isDead || (isFatal && crash?.when === 'before')) isDead = true;
          const isStream = name === 'read' || name === 'range' || name === 'keys';
          if (isDead) return isStream ? rejecting() : Promise.reject(new Killed());
          if (isStream) return member.apply(target, args) as unknown;
          return (async () => {
            // So that the next batch is processed meanwhile.
            if (name === 'commit') await new Promise((resolve) => setImmediate(resolve));
            const value: unknown = await member.apply(target, args);
            isDead ||= isFatal;
            if (isDead) throw new Killed();
            return name === 'openProducer' ? wrapped(value as object) : value;
          })();
        };
      },
    });
  return { log: wrapped(log), store: wrapped(store) };
}

// oxlint-disable-next-line require-yield -- it ends before the first
async function* rejecting(): AsyncGenerator<never> {
  throw new Killed();
}
