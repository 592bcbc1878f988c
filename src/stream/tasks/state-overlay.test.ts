import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { MemoryStore } from '../../adapters/memory/store.ts';
import { compareUtf8 } from '../../lib/utf8-order.ts';
import { StateOverlay } from './state-overlay.ts';

const TASK = 'task';
const key = fc.constantFrom('a', 'ab', 'b', 'b\uffff', 'b\u{1f600}', 'c');

/** What may happen to an overlay between two batches, and within one. */
const steps = fc.array(
  fc.oneof(
    fc.record({ do: fc.constant('write' as const), key, value: fc.option(fc.string()) }),
    fc.record({ do: fc.constantFrom('keep' as const, 'undo' as const) }),
    fc.record({ do: fc.constantFrom('seal' as const, 'land' as const) }),
    fc.record({ do: fc.constant('read' as const), key }),
    fc.record({ do: fc.constant('range' as const), prefix: fc.constantFrom('', 'b', 'b\uffff') }),
  ),
  { maxLength: 60 },
);

describe('StateOverlay', () => {
  test('reads as if every write had gone to the state at once', async () => {
    await fc.assert(
      fc.asyncProperty(steps, async (given) => {
        const store = new MemoryStore();
        const overlay = new StateOverlay({ store, task: TASK, cacheEntries: 3 });
        let kept = new Map<string, string>();
        let now = new Map<string, string>();
        let offset = 0;
        let underWay: ReturnType<StateOverlay['seal']> | undefined;
        const land = async (): Promise<void> => {
          if (underWay === undefined) return;
          const [from, to] = [offset === 0 ? {} : { o: offset }, { o: offset + 1 }];
          await store.commit({ task: TASK, from, to, state: underWay, served: [], outgoing: [] });
          offset += 1;
          underWay = undefined;
          overlay.committed();
        };
        for (const step of given) {
          if (step.do === 'write') {
            overlay.write(step.key, step.value ?? undefined);
            if (step.value === null) now.delete(step.key);
            else now.set(step.key, step.value);
          } else if (step.do === 'keep') {
            overlay.keep();
            kept = new Map(now);
          } else if (step.do === 'undo') {
            overlay.undo();
            now = new Map(kept);
          } else if (step.do === 'seal') {
            overlay.keep();
            kept = new Map(now);
            await land();
            underWay = overlay.seal();
          } else if (step.do === 'land') {
            await land();
          } else if (step.do === 'read') {
            await overlay.fetch([step.key]);
            assert.equal(overlay.get(step.key), now.get(step.key));
          } else if (step.do === 'range') {
            const expected = [...now]
              .filter(([name]) => name.startsWith(step.prefix))
              .toSorted(([a], [b]) => compareUtf8(a, b));
            assert.deepEqual(await Array.fromAsync(overlay.range(step.prefix)), expected);
          }
        }
      }),
      { numRuns: 300 },
    );
  });

  test('refuses to read a key that was neither named nor loaded', () => {
    const overlay = new StateOverlay({ store: new MemoryStore(), task: TASK, cacheEntries: 3 });
    assert.throws(() => overlay.get('a'), /neither named by reads\(\) nor loaded/);
  });

  test('asks the store again after a reset', async () => {
    const store = new MemoryStore();
    const overlay = new StateOverlay({ store, task: TASK, cacheEntries: 3 });
    await overlay.fetch(['a']);
    await store.commit({
      task: TASK,
      from: {},
      to: { o: 1 },
      state: [['a', 'theirs']],
      served: [],
      outgoing: [],
    });
    overlay.reset();
    await overlay.fetch(['a']);
    assert.equal(overlay.get('a'), 'theirs');
  });
});
