import assert from 'node:assert/strict';
import { chmodSync, existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { mkdtempDisposable } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { MillraceError } from '../../domain/errors.ts';
import { must } from '../../lib/must.ts';
import { Lake } from './lake.ts';
import { EMPTY_MANIFEST, LAKE_FORMAT, type LakeModel, type Manifest } from './manifest.ts';

const folder = () => mkdtempDisposable(join(tmpdir(), 'millrace-lake-'));

const model = (name: string, rows: number): LakeModel => ({
  name,
  materialization: 'table',
  runId: 'r',
  builtAtMs: 1,
  fingerprint: 'f',
  columns: [],
  rows,
  files: [],
  inputs: {},
});

const withModel = (manifest: Manifest, name: string, rows: number): Manifest => ({
  ...manifest,
  models: { ...manifest.models, [name]: model(name, rows) },
});

const codeOf = async (work: () => unknown): Promise<string> => {
  try {
    await work();
  } catch (error) {
    if (error instanceof MillraceError) return error.code;
    throw error;
  }
  return 'nothing failed';
};

describe('Lake', () => {
  test('is empty at first, and holds what was committed after it is opened again', async () => {
    await using dir = await folder();
    const lake = await Lake.open(join(dir.path, 'lake'));
    assert.deepEqual(await lake.manifest(), EMPTY_MANIFEST);
    const committed = await lake.commit((before) => withModel(before, 'a', 1));
    assert.equal(committed.version, 1);
    const again = await Lake.open(lake.dir);
    assert.deepEqual(await again.manifest(), committed);
  });

  test('grants each version to one of many who commit at once, and loses none of them', async () => {
    await using dir = await folder();
    const lakes = await Promise.all(Array.from({ length: 8 }, () => Lake.open(dir.path)));
    await Promise.all(
      lakes.flatMap((lake, index) =>
        Array.from({ length: 5 }, (_, at) =>
          lake.commit((before) => {
            const rows = (before.models['sum']?.rows ?? 0) + 1;
            return withModel(withModel(before, `m${index}-${at}`, 1), 'sum', rows);
          }),
        ),
      ),
    );
    const { version, models } = await must(lakes[0], 'there are eight').manifest();
    assert.equal(version, 40);
    assert.equal(Object.keys(models).length, 41);
    assert.equal(models['sum']?.rows, 40);
  });

  test('writes nothing for a change that changes nothing, and nothing when it is refused', async () => {
    await using dir = await folder();
    const lake = await Lake.open(dir.path);
    await lake.commit((before) => before);
    await assert.rejects(
      lake.commit(() => {
        throw new Error('another was here');
      }),
      /another was here/,
    );
    assert.deepEqual(readdirSync(join(dir.path, 'manifests')), []);
  });

  test('commits anew what was held up until its version was free again', async () => {
    await using dir = await folder();
    const lake = await Lake.open(dir.path);
    const first = await lake.commit((before) => withModel(before, 'a', 1));
    const file = (version: number): string =>
      join(dir.path, 'manifests', `${String(version).padStart(12, '0')}.json`);
    let isHeldUp = true;
    const committed = await lake.commit((before) => {
      if (isHeldUp) {
        const others = { ...withModel(first, 'others', 1), version: 150 };
        writeFileSync(file(others.version), JSON.stringify(others));
        rmSync(file(first.version));
        isHeldUp = false;
      }
      return withModel(before, 'b', 1);
    });
    assert.deepEqual(
      [committed.version, Object.keys(committed.models)],
      [151, ['a', 'others', 'b']],
    );
    assert.equal(existsSync(file(2)), false);
  });

  test('keeps the last hundred manifests', async () => {
    await using dir = await folder();
    const lake = await Lake.open(dir.path);
    for (let rows = 1; rows <= 103; rows++)
      await lake.commit((before) => withModel(before, 'a', rows));
    const kept = readdirSync(join(dir.path, 'manifests')).toSorted();
    assert.deepEqual([kept.length, kept[0]], [100, '000000000004.json']);
  });

  test('refuses a manifest from a newer version, and one that is none', async () => {
    await using dir = await folder();
    const lake = await Lake.open(dir.path);
    const write = (version: number, text: string): void =>
      writeFileSync(join(dir.path, 'manifests', `${String(version).padStart(12, '0')}.json`), text);
    write(1, JSON.stringify({ ...EMPTY_MANIFEST, format: LAKE_FORMAT + 1, version: 1 }));
    assert.equal(await codeOf(() => lake.manifest()), 'lake_newer');
    assert.equal(
      await codeOf(() => lake.commit((before) => withModel(before, 'a', 1))),
      'lake_newer',
    );
    write(2, '{"format":1,"version":2,');
    assert.equal(await codeOf(() => lake.manifest()), 'lake_damaged');
    write(3, JSON.stringify({ ...EMPTY_MANIFEST, version: 7 }));
    assert.equal(await codeOf(() => lake.manifest()), 'lake_damaged');
  });

  test('lets one at a time run the models, and others beside', async () => {
    await using dir = await folder();
    const lake = await Lake.open(dir.path);
    const other = await Lake.open(dir.path);
    {
      using _held = lake.lock('models');
      assert.equal(await codeOf(() => other.lock('models')), 'lake_busy');
      using _beside = other.lock('writer');
    }
    using _free = other.lock('models');
  });

  test(
    'says that it can not be used where nobody may write',
    { skip: process.getuid?.() === 0 && 'root may write everywhere' },
    async () => {
      await using dir = await folder();
      chmodSync(dir.path, 0o500);
      assert.equal(await codeOf(() => Lake.open(join(dir.path, 'lake'))), 'lake_unusable');
    },
  );
});
