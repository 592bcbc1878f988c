import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { MillraceError } from '../../domain/errors.ts';
import { submit } from './submit.ts';

const NEVER = new AbortController().signal;
const sh = (script: string, signal = NEVER, env: Record<string, string> = {}): Promise<string> =>
  submit({ program: '/bin/sh', args: ['-c', script], cwd: '/', env }, signal);

const unavailable = (facts: Readonly<Record<string, RegExp>>) => (error: unknown) => {
  assert.ok(error instanceof MillraceError && error.code === 'warehouse_unavailable');
  for (const [name, pattern] of Object.entries(facts))
    assert.match(String(error.facts[name]), pattern);
  return true;
};

describe('submit', () => {
  test('gives what was printed on both streams', async () => {
    assert.deepEqual((await sh('echo one; echo two >&2')).split('\n').toSorted(), [
      '',
      'one',
      'two',
    ]);
  });

  test('says how a program ended, and what it printed last, without secrets', async () => {
    await assert.rejects(
      sh('echo "no route with $THE_TOKEN" >&2; exit 3', NEVER, { THE_TOKEN: 'sesame' }),
      unavailable({ found: /^ended with 3$/, said: /^no route with \*\*\*$/ }),
    );
  });

  test('says what to set when there is no such program', async () => {
    await assert.rejects(
      submit({ program: 'no-such-submit', args: [], cwd: '/', env: {} }, NEVER),
      unavailable({ program: /^no-such-submit$/, found: /MILLRACE_SPARK_SUBMIT/ }),
    );
    await assert.rejects(
      submit({ program: '/etc/passwd', args: [], cwd: '/', env: {} }, NEVER),
      unavailable({ found: /MILLRACE_SPARK_SUBMIT/ }),
    );
  });

  test('says that Java is missing, as the scripts of Spark find it', async () => {
    for (const said of ['JAVA_HOME is not set', '/x/spark-class: line 71: java: command not found'])
      await assert.rejects(
        sh(`echo '${said}' >&2; exit 1`),
        unavailable({ found: /Java.*JAVA_HOME/ }),
      );
  });

  test('ends what the program has started, too, when that ends with an error', async () => {
    // The sleeper keeps no stream open: it would go on without anybody knowing.
    const pid = await sh('sleep 60 >/dev/null 2>&1 & echo "pid $!"; exit 1').catch(
      (error: unknown) => /pid (\d+)/.exec(String((error as MillraceError).facts['said']))?.[1],
    );
    const isGone = (): boolean => {
      try {
        process.kill(Number(pid), 0);
        // Killed, but not yet collected by its parent.
        return /\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
      } catch {
        return true;
      }
    };
    while (!isGone()) await new Promise((resolve) => setImmediate(resolve));
  });

  test('kills the whole group on abort, waits for its end, and throws the reason', async () => {
    const stop = new AbortController();
    const reason = new Error('told to stop');
    setTimeout(() => stop.abort(reason), 50);
    // `wait` keeps the output open until the sleeper that the shell started has ended too.
    await assert.rejects(sh('sleep 60 & wait', stop.signal), (error) => error === reason);
    await assert.rejects(sh('exit 0', stop.signal), (error) => error === reason);
  });
});
