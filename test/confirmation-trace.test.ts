import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ConfirmationTrace } from './crash/confirmation-trace.ts';

const OPEN = '1 openat(AT_FDCWD</>, "/log/1.mdb", O_RDWR|O_DSYNC|O_CLOEXEC) = 24</log/1.mdb>';
const write = (end: string) =>
  `1 pwrite64(23</log/1.mdb>, "\\x00{\\"end\\":\\"${end}\\"}", 99, 0) = 99`;
const SYNC = '1 fdatasync(23</log/1.mdb>) = 0';
const META = '1 pwrite64(24</log/1.mdb>, "\\x00", 128, 40) = 128';
const lsn = (n: number) =>
  `\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x${n.toString(16).padStart(2, '0')}`;
const confirm = (n: number) =>
  `2 write(28<socket:[1]>, "\\x64\\x00\\x00\\x00\\x26\\x72${lsn(n).repeat(3)}${lsn(0)}\\x00", 39) = 39`;

const figuresOf = (...lines: readonly string[]) => {
  const trace = new ConfirmationTrace('/log/');
  for (const line of [OPEN, ...lines]) trace.line(line);
  return trace.figures();
};

test('a position is confirmed after it was written, flushed and committed', () => {
  const { confirmations, fdatasyncs, problems } = figuresOf(
    write('0/10'),
    SYNC,
    META,
    confirm(0x10),
    write('0/20'),
    SYNC,
    META,
    confirm(0x20),
    confirm(0x20),
  );
  assert.deepEqual(
    { confirmations, fdatasyncs, problems },
    { confirmations: 2, fdatasyncs: 2, problems: [] },
  );
});

for (const [what, lines] of Object.entries({
  'never written': [SYNC, META, confirm(0x10)],
  'not flushed': [write('0/10'), META, confirm(0x10)],
  'not committed': [write('0/10'), SYNC, confirm(0x10)],
  'written after the flush': [SYNC, write('0/10'), META, confirm(0x10)],
  'older than what is confirmed': [write('0/f'), SYNC, META, confirm(0x10)],
  'not flushed: the disk said no': [
    write('0/10'),
    '1 fdatasync(23</log/1.mdb>) = -1 EIO (Input/output error)',
    META,
    confirm(0x10),
  ],
  'still being flushed': [
    write('0/10'),
    '1 fdatasync(23</log/1.mdb> <unfinished ...>',
    confirm(0x10),
    '1 <... fdatasync resumed>) = 0',
    META,
  ],
}))
  test(`a confirmed position that was ${what} is found`, () => {
    assert.equal(figuresOf(...lines).problems.length, 1);
  });

test('calls that other threads interrupt count when they return', () => {
  const { problems, fdatasyncs } = figuresOf(
    write('0/10'),
    '1 fdatasync(23</log/1.mdb> <unfinished ...>',
    '3 futex(0x1) = 0',
    '1 <... fdatasync resumed>) = 0',
    META,
    confirm(0x10),
  );
  assert.deepEqual(problems, []);
  assert.equal(fdatasyncs, 1);
});
