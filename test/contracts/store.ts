import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { MillraceError } from '../../src/domain/errors.ts';
import { MAX_STORE_KEY_BYTES } from '../../src/domain/store-key.ts';
import { must } from '../../src/lib/must.ts';
import type { Commit, Outgoing, ServedWrite, Store } from '../../src/ports/store.ts';

/**
 * An hour ahead: a store whose server expires keys by its own clock still holds what expires after
 * this, and nothing depends on when the test runs.
 */
const NOW = Date.now() + 3_600_000;

const TASK = 'cdc/dbserver1.public.orders-0';

/** A commit of `TASK`, from nothing to nothing, unless told otherwise: so it applies again and again. */
const commit = (parts: Partial<Commit>): Commit => ({
  task: TASK,
  from: {},
  to: {},
  state: [],
  served: [],
  outgoing: [],
  ...parts,
});

const serve = (...served: ServedWrite[]) => commit({ served });
const put = (key: string, value: string, expiresAtMs?: number): ServedWrite =>
  expiresAtMs === undefined ? { op: 'put', key, value } : { op: 'put', key, value, expiresAtMs };
const add = (key: string, amount: string): ServedWrite => ({ op: 'add', key, amount });
const setAdd = (key: string, member: string): ServedWrite => ({ op: 'setAdd', key, member });
const setRemove = (key: string, member: string): ServedWrite => ({ op: 'setRemove', key, member });
const remove = (key: string): ServedWrite => ({ op: 'delete', key });
/** Bytes that are no text. */
const chunk = (name: string, bytes = 0): Uint8Array =>
  Buffer.concat([Buffer.of(0xff, 0, 0x80), Buffer.from(name), Buffer.alloc(bytes)]);
const plain = ({ sequence, chunk: bytes }: Outgoing) => [
  sequence,
  Buffer.from(bytes).toString('hex'),
];
const numbered = (sequence: number, bytes: Uint8Array) => plain({ sequence, chunk: bytes });

const refusal = (code: string) => (error: unknown) =>
  error instanceof MillraceError && error.code === code;

/** What every `Store` must do. `open` gives an empty store; a test disposes of it. */
export function storeContract(name: string, open: () => Promise<Store>): void {
  describe(`${name} keeps the contract of Store`, () => {
    describe('commits', () => {
      test('are read back when they resolve', async () => {
        await using store = await open();
        await store.commit(
          commit({
            to: { 'orders-0': 12, 'orders-1': 9_007_199_254_740_991 },
            state: [['row:1', '{"total":"9.50"}']],
            served: [put('order:1', '{"id":1}')],
            outgoing: [chunk('a')],
          }),
        );
        assert.deepEqual(await store.offsets(TASK), {
          'orders-0': 12,
          'orders-1': 9_007_199_254_740_991,
        });
        assert.deepEqual(await store.getMany(TASK, ['row:1']), ['{"total":"9.50"}']);
        assert.deepEqual(await store.get('order:1', NOW), { type: 'string', value: '{"id":1}' });
        assert.deepEqual((await store.outgoing(TASK, 10)).map(plain), [numbered(1, chunk('a'))]);
      });

      test('apply only from the stored offsets, and else change nothing', async () => {
        await using store = await open();
        await store.commit(commit({ to: { 'orders-0': 5 } }));
        for (const from of [{}, { 'orders-0': 4 }, { 'orders-1': 5 }, { 'orders-0': 5, x: 1 }]) {
          const late = commit({
            from,
            to: { 'orders-0': 9 },
            state: [['k', 'v']],
            served: [add('count', '1')],
            outgoing: [chunk('late')],
          });
          await assert.rejects(store.commit(late), (error: unknown) => {
            assert.ok(error instanceof MillraceError && error.code === 'commit_conflict');
            assert.deepEqual(error.facts, { task: TASK, expected: from, found: { 'orders-0': 5 } });
            return true;
          });
        }
        assert.deepEqual(await store.offsets(TASK), { 'orders-0': 5 });
        assert.deepEqual(await store.getMany(TASK, ['k']), [undefined]);
        assert.equal(await store.get('count', NOW), undefined);
        assert.deepEqual(await store.outgoing(TASK, 10), []);
      });

      test('take the offsets in any order, and drop partitions that `to` does not name', async () => {
        await using store = await open();
        await store.commit(commit({ to: { a: 1, b: 2 } }));
        await store.commit(commit({ from: { b: 2, a: 1 }, to: { b: 3 } }));
        assert.deepEqual(await store.offsets(TASK), { b: 3 });
      });

      test('from the same offsets at once: one applies', async () => {
        await using store = await open();
        const tries = Array.from({ length: 20 }, (_, n) =>
          store.commit(commit({ to: { 'orders-0': n + 1 }, served: [add('applied', '1')] })),
        );
        const results = await Promise.allSettled(tries);
        const failed = results.filter((result) => result.status === 'rejected');
        assert.equal(failed.length, 19);
        for (const { reason } of failed) assert.ok(refusal('commit_conflict')(reason));
        assert.deepEqual(await store.get('applied', NOW), { type: 'string', value: '1' });
        const winner = results.findIndex((result) => result.status === 'fulfilled');
        assert.deepEqual(await store.offsets(TASK), { 'orders-0': winner + 1 });
      });

      test('of many tasks at once all apply, and each task has its own state', async () => {
        await using store = await open();
        const names = Array.from({ length: 20 }, (_, n) => `cdc/t-${n}`);
        await Promise.all(
          names.map((task) =>
            store.commit(
              commit({ task, to: { t: 1 }, state: [['k', task]], served: [add('sum', '0.1')] }),
            ),
          ),
        );
        for (const task of names) {
          assert.deepEqual(await store.getMany(task, ['k']), [task]);
          assert.deepEqual(await Array.fromAsync(store.range(task, '')), [['k', task]]);
        }
        assert.deepEqual(await store.get('sum', NOW), { type: 'string', value: '2' });
        assert.deepEqual(await store.tasks(), names.toSorted());
      });

      test('of 10,000 writes apply whole', async () => {
        await using store = await open();
        const numbers = Array.from({ length: 10_000 }, (_, n) => n);
        await store.commit(
          commit({
            to: { t: 10_000 },
            state: numbers.map((n) => [`row:${String(n).padStart(5, '0')}`, `value ${n}`]),
            served: numbers.map((n) => add(`count:${n % 7}`, '0.01')),
          }),
        );
        const rows = await Array.fromAsync(store.range(TASK, 'row:'));
        assert.deepEqual(
          rows.map(([, value]) => value),
          numbers.map((n) => `value ${n}`),
        );
        assert.deepEqual(await store.get('count:0', NOW), { type: 'string', value: '14.29' });
      });
    });

    describe('state', () => {
      test('is in the order of the UTF-8 bytes of its keys', async () => {
        await using store = await open();
        const ordered = ['', '\0', 'A', 'a', 'a\0', 'a\x01b', 'ab', 'b', 'é', '€', '\uffee', '😀'];
        await store.commit(commit({ state: ordered.toReversed().map((key) => [key, `=${key}`]) }));
        const expected = ordered.map((key) => [key, `=${key}`]);
        assert.deepEqual(await Array.fromAsync(store.range(TASK, '')), expected);
        assert.deepEqual(
          await Array.fromAsync(store.range(TASK, '', { reverse: true })),
          expected.toReversed(),
        );
        assert.deepEqual(
          await store.getMany(TASK, ordered),
          ordered.map((key) => `=${key}`),
        );
      });

      test('is read by prefix, limit and direction', async () => {
        await using store = await open();
        const keys = ['a:1', 'a:2', 'a:3', 'a;', 'b:1', 'a', 'a:😀', 'a:\uffff'];
        await store.commit(commit({ state: keys.map((key) => [key, '']) }));
        const read = async (...args: [string, { limit?: number; reverse?: boolean }?]) =>
          (await Array.fromAsync(store.range(TASK, ...args))).map(([key]) => key);
        assert.deepEqual(await read('a:'), ['a:1', 'a:2', 'a:3', 'a:\uffff', 'a:😀']);
        assert.deepEqual(await read('a:', { limit: 2 }), ['a:1', 'a:2']);
        assert.deepEqual(await read('a:', { limit: 2, reverse: true }), ['a:😀', 'a:\uffff']);
        assert.deepEqual(await read('a:😀'), ['a:😀']);
        assert.deepEqual(await read('b:', { limit: 0 }), []);
        assert.deepEqual(await read('c'), []);
        assert.deepEqual(await Array.fromAsync(store.range('no such task', '')), []);
      });

      test('may change while it is read, and the reader may stop early', async () => {
        await using store = await open();
        const keys = Array.from({ length: 3000 }, (_, n) => String(n).padStart(4, '0'));
        await store.commit(commit({ state: keys.map((key) => [key, 'v']) }));
        const seen: string[] = [];
        for await (const [key] of store.range(TASK, '')) {
          seen.push(key);
          if (key === '0500') await store.commit(commit({ state: [['2500x', 'v']] }));
          if (key === '2900') break;
        }
        assert.deepEqual(
          seen.filter((key) => key !== '2500x'),
          keys.slice(0, 2901),
        );
      });

      test('of one key takes the last write, and `undefined` removes it', async () => {
        await using store = await open();
        await store.commit(
          commit({
            state: [
              ['k', '1'],
              ['k', '2'],
              ['gone', '1'],
              ['gone', undefined],
            ],
          }),
        );
        await store.commit(commit({ state: [['never was', undefined]] }));
        assert.deepEqual(await store.getMany(TASK, ['gone', 'k', 'k']), [undefined, '2', '2']);
      });

      test('holds empty and long values', async () => {
        await using store = await open();
        const long = 'ü'.repeat(500_000);
        await store.commit(
          commit({
            state: [
              ['empty', ''],
              ['long', long],
            ],
          }),
        );
        assert.deepEqual(await store.getMany(TASK, ['empty', 'long']), ['', long]);
      });
    });

    describe('keys', () => {
      test('of the greatest length work everywhere; a longer one rejects the commit', async () => {
        await using store = await open();
        const most = 'é'.repeat(MAX_STORE_KEY_BYTES / 2);
        await store.commit(
          commit({
            state: [[most, 's']],
            served: [put(most, 'v', NOW + 1), setAdd(`S${most.slice(1)}`, most)],
          }),
        );
        assert.deepEqual(await store.getMany(TASK, [most]), ['s']);
        assert.equal((await store.get(most, NOW))?.type, 'string');
        assert.deepEqual(await store.get(`S${most.slice(1)}`, NOW), {
          type: 'set',
          members: [most],
        });

        for (const parts of [
          { state: [[`${most}x`, 's'] as const] },
          { served: [put(`${most}x`, 'v')] },
          { served: [setAdd('set', `${most}x`)] },
        ]) {
          const refused = store.commit(commit({ to: { t: 1 }, ...parts }));
          await assert.rejects(refused, refusal('store_key_too_long'));
        }
        assert.deepEqual(await store.offsets(TASK), {});
        assert.deepEqual(await store.getMany(TASK, [`${most}x`]), [undefined]);
      });
    });

    describe('sums', () => {
      test('are exact decimals in canonical form', async () => {
        await using store = await open();
        const sum = async (...amounts: string[]) => {
          await store.commit(serve(remove('sum'), ...amounts.map((amount) => add('sum', amount))));
          const found = await store.get('sum', NOW);
          return found?.type === 'string' ? found.value : found;
        };
        assert.equal(await sum('0.1', '0.2'), '0.3');
        assert.equal(await sum('1.50'), '1.5');
        assert.equal(await sum('-12.50', '2.5'), '-10');
        assert.equal(await sum('5', '-5.00'), '0');
        assert.equal(await sum('-0.0'), '0');
        assert.equal(await sum('0'), '0');
        assert.equal(await sum('007'), '7');
        assert.equal(await sum('999999999999999', '1'), '1000000000000000');
        assert.equal(await sum('999999999999999999999999999999', '1'), `1${'0'.repeat(30)}`);
        assert.equal(await sum('-0.000000000000000000000000000001'), `-0.${'0'.repeat(29)}1`);
      });

      test('of any amounts, over several commits, are those of whole numbers of the last place', async () => {
        await using store = await open();
        const units = fc.bigInt({ min: -(10n ** 32n), max: 10n ** 32n });
        let run = 0;
        await fc.assert(
          fc.asyncProperty(fc.array(units, { minLength: 1, maxLength: 8 }), async (amounts) => {
            const key = `sum:${run++}`;
            const half = amounts.length >> 1;
            const adds = amounts.map((each) => add(key, fixed9(each)));
            await store.commit(serve(...adds.slice(0, half)));
            await store.commit(serve(...adds.slice(half)));
            const total = amounts.reduce((a, b) => a + b);
            const found = await store.get(key, NOW);
            assert.deepEqual(found, { type: 'string', value: withoutTrailingZeros(fixed9(total)) });
          }),
          { numRuns: 50 },
        );
      });

      test('go on from a put value without expiry, and refuse what is no decimal', async () => {
        await using store = await open();
        await store.commit(serve(put('n', '10.50'), put('text', 'ten'), put('mortal', '1', NOW)));
        await store.commit(serve(add('n', '1')));
        assert.deepEqual(await store.get('n', NOW), { type: 'string', value: '11.5' });
        for (const write of [
          add('text', '1'),
          add('mortal', '1'),
          ...['', ' 1', '1e3', 'NaN', '.5', '5.', '+1', '1,5'].map((amount) => add('n', amount)),
        ]) {
          await assert.rejects(store.commit(serve(write)), refusal('served_write_refused'));
        }
        assert.deepEqual(await store.get('n', NOW), { type: 'string', value: '11.5' });
      });
    });

    describe('sets', () => {
      test('hold each member once, in order, and do not exist without members', async () => {
        await using store = await open();
        await store.commit(
          serve(setAdd('s', 'b'), setAdd('s', '😀'), setAdd('s', '\uffee'), setAdd('s', 'b')),
        );
        await store.commit(serve(setAdd('s', ''), setAdd('s', 'a'), setRemove('s', 'no member')));
        assert.deepEqual(await store.get('s', NOW), {
          type: 'set',
          members: ['', 'a', 'b', '\uffee', '😀'],
        });
        await store.commit(
          serve(...['', 'a', 'b', '\uffee', '😀'].map((each) => setRemove('s', each))),
        );
        assert.equal(await store.get('s', NOW), undefined);
        assert.deepEqual(await Array.fromAsync(store.keys('', NOW)), []);
        await store.commit(serve(setRemove('s', 'a'), put('s', 'now a string')));
        assert.deepEqual(await store.get('s', NOW), { type: 'string', value: 'now a string' });
      });

      test('are removed whole, and begin anew', async () => {
        await using store = await open();
        const many = Array.from({ length: 2500 }, (_, n) => setAdd('s', String(n)));
        await store.commit(serve(...many, setAdd('other', 'x')));
        await store.commit(serve(remove('s'), setAdd('s', 'new')));
        assert.deepEqual(await store.get('s', NOW), { type: 'set', members: ['new'] });
        assert.deepEqual(await store.get('other', NOW), { type: 'set', members: ['x'] });
      });
    });

    describe('served keys', () => {
      test('used as another type reject the whole commit, which names the key', async () => {
        await using store = await open();
        const before = serve(put('text', 'v'), setAdd('set', 'a'), setAdd('set', 'b'));
        await store.commit(before);
        for (const write of [
          put('set', 'v'),
          add('set', '1'),
          setAdd('text', 'a'),
          setRemove('text', 'a'),
        ]) {
          const clash = commit({
            to: { t: 1 },
            state: [['k', 'v']],
            served: [
              setAdd('set', 'c'),
              setRemove('set', 'a'),
              put('text', 'changed', NOW + 1),
              put('text', 'changed'),
              remove('text'),
              put('text', 'new'),
              setAdd('new set', 'm'),
              put('new', 'v'),
              write,
              put('last', 'v'),
            ],
            outgoing: [chunk('a')],
          });
          await assert.rejects(store.commit(clash), (error: unknown) => {
            assert.ok(refusal('served_write_refused')(error), String(error));
            assert.equal((error as MillraceError).facts['key'], write.key);
            return true;
          });
          assert.deepEqual(await store.get('text', NOW), { type: 'string', value: 'v' });
          assert.deepEqual(await store.get('set', NOW), { type: 'set', members: ['a', 'b'] });
          assert.deepEqual(await Array.fromAsync(store.keys('', NOW)), ['set', 'text']);
          assert.deepEqual(await store.getMany(TASK, ['k']), [undefined]);
          assert.deepEqual(await store.offsets(TASK), {});
          assert.deepEqual(await store.outgoing(TASK, 1), []);
        }
        await store.commit(serve(remove('set'), put('set', 'v'), remove('absent')));
        assert.equal((await store.get('set', NOW))?.type, 'string');
      });

      test('exist until their expiry, to the millisecond', async () => {
        await using store = await open();
        await store.commit(serve(put('k', 'v', NOW + 10)));
        assert.deepEqual(await store.get('k', NOW + 9), {
          type: 'string',
          value: 'v',
          expiresAtMs: NOW + 10,
        });
        assert.equal(await store.get('k', NOW + 10), undefined);
        assert.deepEqual(await Array.fromAsync(store.keys('k', NOW + 9)), ['k']);
        assert.deepEqual(await Array.fromAsync(store.keys('k', NOW + 10)), []);
      });

      test('take the expiry of the last put, and none when it gives none', async () => {
        await using store = await open();
        await store.commit(serve(put('k', '1', NOW + 10), put('forever', '1', NOW + 10)));
        await store.commit(serve(put('k', '2', NOW + 20), put('forever', '2')));
        assert.deepEqual(await store.get('k', NOW + 15), {
          type: 'string',
          value: '2',
          expiresAtMs: NOW + 20,
        });
        for (let swept = 1; swept > 0;) swept = await store.sweep(NOW + 15);
        assert.equal((await store.get('k', NOW + 15))?.type, 'string');
        for (let swept = 1; swept > 0;) swept = await store.sweep(NOW + 10 ** 6);
        assert.deepEqual(await store.get('forever', NOW + 10 ** 9), { type: 'string', value: '2' });
      });

      test('that were put again before they expired are swept when that put expires, if ever', async () => {
        await using store = await open();
        const keys = Array.from({ length: 2400 }, (_, n) => `k:${n}`);
        await store.commit(serve(...keys.map((key) => put(key, '1', NOW)), put('due', '1', NOW)));
        const again = (key: string, n: number) =>
          [put(key, '2', NOW + 10), put(key, '2'), put(key, '2', NOW - 10)][n % 3];
        await store.commit(serve(...keys.map((key, n) => must(again(key, n), 'of three'))));
        const left = async (nowMs: number) => {
          for (let swept = 1; swept > 0;) swept = await store.sweep(nowMs);
          return (await Array.fromAsync(store.keys('', 0))).length;
        };
        assert.equal(await left(NOW - 10), 1601);
        assert.equal(await left(NOW), 1600);
        assert.equal(await left(NOW + 9), 1600);
        assert.equal(await left(NOW + 10), 800);
        assert.equal(await left(NOW + 10 ** 6), 800);
      });

      test('that expired are swept, and only those; a new put brings a key back', async () => {
        await using store = await open();
        const keys = Array.from({ length: 5000 }, (_, n) => put(`k:${n}`, 'v', NOW + (n % 2)));
        await store.commit(serve(...keys, put('past', 'v', 1)));
        assert.equal(await store.get('past', NOW), undefined);
        for (let swept = 1; swept > 0;) swept = await store.sweep(NOW);
        assert.equal((await Array.fromAsync(store.keys('k:', NOW - 1))).length, 2500);
        assert.equal((await Array.fromAsync(store.keys('k:', NOW))).length, 2500);
        await store.commit(serve(put('past', 'again', NOW + 5), put('k:0', 'again')));
        assert.equal((await store.get('past', NOW))?.type, 'string');
        assert.deepEqual(await store.get('k:0', NOW), { type: 'string', value: 'again' });
      });

      test('are listed by prefix, limit and the key they come after', async () => {
        await using store = await open();
        await store.commit(
          serve(
            ...['b', 'a:😀', 'a:\uffee', 'a:2', 'a'].map((key) => put(key, 'v')),
            put('a:gone', 'v', NOW),
            ...['x', 'y', 'z'].map((member) => setAdd('a:set', member)),
            add('a:sum', '1'),
          ),
        );
        const all = ['a:2', 'a:set', 'a:sum', 'a:\uffee', 'a:😀'];
        const list = (prefix: string, options?: { limit?: number; after?: string }) =>
          Array.fromAsync(store.keys(prefix, NOW, options));
        assert.deepEqual(await list('a:'), all);
        assert.deepEqual(await list(''), ['a', ...all, 'b']);
        assert.deepEqual(await list('a:', { limit: 2 }), all.slice(0, 2));
        assert.deepEqual(await list('a:', { limit: 2, after: 'a:2' }), all.slice(1, 3));
        assert.deepEqual(await list('a:', { after: 'a:😀' }), []);
        assert.deepEqual(await list('a:', { after: 'a' }), all);
        assert.deepEqual(await list('a:', { after: 'zzz' }), []);
        assert.deepEqual(await list('a:', { after: 'a:g' }), all.slice(1));
      });
    });

    describe('outgoing chunks', () => {
      test('keep the order of the commits until they are forwarded', async () => {
        await using store = await open();
        await store.commit(commit({ outgoing: [chunk('a'), chunk('b')] }));
        await store.commit(commit({ outgoing: [chunk('c')] }));
        await store.commit(commit({ task: 'another', outgoing: [chunk('theirs')] }));
        const read = async () => (await store.outgoing(TASK, 1000)).map(plain);
        const all = [chunk('a'), chunk('b'), chunk('c')];
        assert.deepEqual(
          await read(),
          all.map((each, at) => numbered(at + 1, each)),
        );
        const [first, second, third] = await store.outgoing(TASK, 1000);
        await store.forwarded(TASK, must(second, 'of three'));
        await store.forwarded(TASK, must(first, 'of three'));
        assert.deepEqual(await read(), [numbered(3, chunk('c'))]);
        await store.forwarded(TASK, must(third, 'of three'));
        await store.commit(commit({ outgoing: [chunk('d')] }));
        assert.deepEqual(await read(), [numbered(4, chunk('d'))]);
        assert.equal((await store.outgoing('another', 1)).length, 1);
        assert.deepEqual(await store.outgoing('no such task', 1), []);
        await store.forwarded('no such task', must(first, 'of three'));
      });

      test('are given up to a number of bytes, and at least one', async () => {
        await using store = await open();
        const chunks = [chunk('a', 10), chunk('b', 1_000_000), chunk('c')];
        await store.commit(commit({ outgoing: chunks }));
        const [first = 0, second = 0, third = 0] = chunks.map(({ length }) => length);
        for (const [maxBytes, given] of [
          [0, 1],
          [first, 1],
          [first + second - 1, 1],
          [first + second, 2],
          [first + second + third, 3],
          [Infinity, 3],
        ] as const) {
          const found = (await store.outgoing(TASK, maxBytes)).map(plain);
          const expected = chunks.slice(0, given).map((each, at) => numbered(at + 1, each));
          assert.deepEqual(found, expected);
        }
        for (const each of await store.outgoing(TASK, Infinity)) await store.forwarded(TASK, each);
        assert.deepEqual(await store.outgoing(TASK, 0), []);
      });

      test('stay when the one that was forwarded is not what the store has', async () => {
        await using store = await open();
        await store.commit(commit({ outgoing: [chunk('a'), chunk('b')] }));
        for (const [sequence, other] of [
          [1, chunk('x')],
          [1, chunk('a', 1)],
          [2, chunk('a')],
          [3, chunk('c')],
        ] as const) {
          await store.forwarded(TASK, { sequence, chunk: other });
        }
        assert.equal((await store.outgoing(TASK, 1000)).length, 2);
        await store.forwarded(TASK, { sequence: 2, chunk: chunk('b') });
        assert.deepEqual(await store.outgoing(TASK, 1000), []);
      });
    });

    describe('tasks', () => {
      test('are dropped whole: state, offsets, outgoing; what they served stays', async () => {
        await using store = await open();
        const rows = Array.from({ length: 2500 }, (_, n) => [`k${n}`, 'v'] as const);
        for (const task of [TASK, `${TASK}0`, 'a']) {
          const full = { to: { t: 1 }, state: rows, outgoing: [chunk('x')] };
          await store.commit(commit({ task, ...full, served: [put(`of ${task}`, 'v')] }));
        }
        await store.dropTask(TASK);
        await store.dropTask('no such task');
        assert.deepEqual(await store.tasks(), ['a', `${TASK}0`]);
        assert.deepEqual(await store.offsets(TASK), {});
        assert.deepEqual(await Array.fromAsync(store.range(TASK, '')), []);
        assert.deepEqual(await store.outgoing(TASK, 1), []);
        assert.equal((await store.get(`of ${TASK}`, NOW))?.type, 'string');
        assert.equal((await Array.fromAsync(store.range(`${TASK}0`, ''))).length, 2500);

        await store.commit(commit({ to: { t: 9 }, outgoing: [chunk('y')] }));
        assert.deepEqual(await store.offsets(TASK), { t: 9 });
        assert.equal(must((await store.outgoing(TASK, 1))[0], 'it was put out').sequence, 2);
      });

      test('that never committed are not there', async () => {
        await using store = await open();
        assert.deepEqual(await store.tasks(), []);
        assert.deepEqual(await store.offsets(TASK), {});
        assert.deepEqual(await store.getMany(TASK, ['k']), [undefined]);
        await assert.rejects(
          store.commit(commit({ from: { t: 1 }, to: { t: 2 } })),
          refusal('commit_conflict'),
        );
        assert.deepEqual(await store.tasks(), []);
      });
    });
  });
}

/** `units` of 10^-9, in plain notation. */
function fixed9(units: bigint): string {
  const digits = String(units < 0n ? -units : units).padStart(10, '0');
  return `${units < 0n ? '-' : ''}${digits.slice(0, -9)}.${digits.slice(-9)}`;
}

function withoutTrailingZeros(fixed: string): string {
  return fixed.replace(/\.?0+$/, '');
}
