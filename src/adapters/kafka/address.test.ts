import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { MillraceError } from '../../domain/errors.ts';
import { parseBroker } from './address.ts';

test('a broker is a host with or without a port', () => {
  assert.deepEqual(parseBroker('kafka'), { host: 'kafka', port: 9092 });
  assert.deepEqual(parseBroker(' kafka-1.example:29092 '), {
    host: 'kafka-1.example',
    port: 29092,
  });
  assert.deepEqual(parseBroker('[::1]:9093'), { host: '::1', port: 9093 });
  for (const wrong of ['', 'kafka:', 'kafka:0', 'kafka:70000', ':9092']) {
    assert.throws(
      () => parseBroker(wrong),
      (error: MillraceError) => error.code === 'config_invalid',
      wrong,
    );
  }
});
