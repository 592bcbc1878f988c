import assert from 'node:assert/strict';
import { appendFile, mkdtempDisposable, rename, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import pc from 'picocolors';
import { logLines, prettyLogLine } from './log-lines.ts';

const plain = pc.createColors(false);

test('a log line shows time, level, part, message and facts', () => {
  const line = JSON.stringify({
    level: 'warn',
    time: '1970-01-01T00:00:00.000Z',
    part: 'capture',
    msg: 'slow',
    ms: 7,
  });
  assert.equal(prettyLogLine(line, plain), '1970-01-01T00:00:00.000Z WARN  capture: slow ms=7');
  assert.equal(prettyLogLine('not JSON', plain), 'not JSON');
});

test('only a bug shows its stack; a named failure says all in its message', () => {
  const line = (facts: object) =>
    prettyLogLine(
      JSON.stringify({ level: 'warn', time: 0, part: 'connector', stack: 'E\n at x', ...facts }),
      plain,
    );
  const head = '1970-01-01T00:00:00.000Z WARN  connector:';
  assert.equal(
    line({ msg: 'slot_lost: mend it', code: 'slot_lost' }),
    `${head} slot_lost: mend it`,
  );
  assert.equal(line({ msg: 'boom' }), `${head} boom \nE\n at x`);
});

test('following goes on in the file that takes the place of a rotated one', async () => {
  await using folder = await mkdtempDisposable(join(tmpdir(), 'millrace-logs-'));
  const file = join(folder.path, 'millrace.log');
  await writeFile(file, 'one\ntwo\nthree\n');
  const end = new AbortController();
  const lines = logLines(file, { count: 2, follow: true, signal: end.signal });
  const next = async () => (await lines.next()).value;
  assert.deepEqual([await next(), await next()], ['two', 'three']);
  const fourth = next();
  await appendFile(file, 'four é\n');
  assert.equal(await fourth, 'four é');
  const fifth = next();
  await rename(file, `${file}.1`);
  await writeFile(file, 'five\n');
  assert.equal(await fifth, 'five');
  const last = lines.next();
  end.abort();
  assert.equal((await last).done, true);
});
