import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { LastOutput } from './last-output.ts';

describe('LastOutput', () => {
  test('keeps the last of a long output, in bounds', () => {
    const output = new LastOutput({});
    for (let line = 0; line < 100_000; line++) output.add(`line ${line}\n`);
    assert.ok(output.text.length <= 16_384);
    assert.match(output.lastLines(), /line 99998\nline 99999$/);
  });

  test('says why it ended, not where in the code nor what went well before', () => {
    const output = new LastOutput({});
    output.add('26/11/23 INFO SparkContext: Running\n');
    output.add('Exception in thread "main" java.io.IOException: no such host\n');
    output.add('\tat org.apache.spark.Deploy.main(Deploy.scala:1)\n\t... 12 more\n\n');
    assert.equal(
      output.lastLines(),
      'Exception in thread "main" java.io.IOException: no such host',
    );
  });

  test('shows no secret of the environment, nor a password in an address', () => {
    const output = new LastOutput({ POSTGRES_PASSWORD: 'hunter2', AWS_SECRET_KEY: 'abcd+/=' });
    output.add('login with hunter2 and abcd+/= at jdbc:postgresql://me:s3cret@host/db failed\n');
    assert.equal(
      output.lastLines(),
      'login with *** and *** at jdbc:postgresql://me:***@host/db failed',
    );
  });
});
