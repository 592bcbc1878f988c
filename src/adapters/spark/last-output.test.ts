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

  test('says why it ended, each reason once, and not where in the code', () => {
    const output = new LastOutput({});
    output.add('26/11/23 INFO SparkContext: Running\n');
    for (let attempt = 0; attempt < 3; attempt++)
      output.add(
        '26/11/23 WARN Client: Failed\nCaused by: java.net.ConnectException: Connection refused\n',
      );
    output.add('26/11/23 ERROR Backend: Application has been killed. Reason: Giving up.\n');
    output.add('\tat org.apache.spark.Deploy.main(Deploy.scala:1)\n\t... 12 more\n\n');
    output.add(
      'This stopped SparkContext was created at:\npy4j.Gateway.invoke(Gateway.java:238)\n',
    );
    assert.equal(
      output.lastLines(),
      [
        'Caused by: java.net.ConnectException: Connection refused',
        '26/11/23 ERROR Backend: Application has been killed. Reason: Giving up.',
      ].join('\n'),
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
