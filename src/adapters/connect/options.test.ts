import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { completeOptions, hiderOf, refuseInvalid } from './options.ts';

const topics = { signals: 'signals', notifications: 'notifications' };
const kafka = { brokers: ['a:9092', 'b:9092'] };

const validation = (errors: Record<string, readonly string[]>) => ({
  configs: Object.entries(errors).map(([name, found]) => ({ value: { name, errors: found } })),
});
const asIs = (text: string) => text;
const FAILED = 'Error while validating connector config: ';

describe('completeOptions', () => {
  test('adds what the file does not name, and changes nothing that it does', async () => {
    const given = { 'heartbeat.interval.ms': '0', 'signal.enabled.channels': 'source', a: 'b' };
    const found = await completeOptions(given, 'n', topics, kafka);
    for (const [option, value] of Object.entries(given)) assert.equal(found[option], value);
    assert.equal(found['name'], 'n');
    assert.equal(found['signal.kafka.topic'], 'signals');
    assert.equal(found['signal.kafka.bootstrap.servers'], 'a:9092,b:9092');
    assert.equal(found['read.only'], 'true');
    assert.equal(found['message.prefix.exclude.list'], 'millrace');
    assert.equal(found['signal.consumer.security.protocol'], undefined);
  });

  test('leaves a signal table and a filter of messages to the file', async () => {
    const given = { 'signal.data.collection': 'public.s', 'message.prefix.include.list': 'x' };
    const found = await completeOptions(given, 'n', topics, kafka);
    assert.equal(found['read.only'], undefined);
    assert.equal(found['signal.enabled.channels'], 'source,kafka');
    assert.equal(found['message.prefix.exclude.list'], undefined);
  });

  test('leaves the messages of heartbeats out beside those that the file leaves out', async () => {
    const given = { 'message.prefix.exclude.list': 'x,y' };
    const found = await completeOptions(given, 'n', topics, kafka);
    assert.equal(found['message.prefix.exclude.list'], 'x,y,millrace');
  });

  test('tells how to log in to Kafka', async () => {
    const sasl = { mechanism: 'SCRAM-SHA-512', username: 'me', password: 'a"b' };
    const found = await completeOptions({}, 'n', topics, { ...kafka, tls: {}, sasl });
    assert.equal(found['signal.consumer.security.protocol'], 'SASL_SSL');
    assert.equal(found['signal.consumer.sasl.mechanism'], 'SCRAM-SHA-512');
    assert.equal(
      found['signal.consumer.sasl.jaas.config'],
      String.raw`org.apache.kafka.common.security.scram.ScramLoginModule required username="me" password="a\"b";`,
    );
  });

  test('knows the old name of a snapshot mode', async () => {
    const found = await completeOptions({ 'snapshot.mode': 'never' }, 'n', topics, kafka);
    assert.equal(found['snapshot.mode'], 'no_data');
  });
});

describe('refuseInvalid', () => {
  test('accepts what Connect accepts, and options that it does not list', () => {
    const options = { 'slot.name': 's', 'read.only': 'true', 'transforms.x.type': 'y' };
    refuseInvalid(options, validation({ 'slot.name': [] }), asIs);
  });

  test('names every problem, and options that nobody knows', () => {
    const check = () =>
      refuseInvalid({ a: '1', b: '2', c: '3' }, validation({ a: ['x', 'y'], b: ['z'] }), asIs);
    assert.throws(check, {
      code: 'connector_config_invalid',
      message: /- a: x\n- a: y\n- b: z\n- c: unk/,
    });
  });

  test('tells a source that is away or refuses the login from a wrong option', () => {
    const found = (said: string, others = {}) => {
      const errors = { 'database.hostname': [`${FAILED}${said}`], ...others };
      return () => refuseInvalid({ 'database.hostname': '${env:H}' }, validation(errors), asIs);
    };
    const refused = 'FATAL: password authentication failed for user "me"';
    assert.throws(found(refused), { code: 'source_login_failed', message: /leftToTheWorker/ });
    assert.throws(found('Connection to h:1 refused.'), { code: 'source_unreachable' });
    assert.throws(found(refused, { a: ['x'] }), { code: 'connector_config_invalid' });
  });
});

describe('hiderOf', () => {
  test('hides passwords wherever they stand, and nothing that is no secret', () => {
    const options = {
      'database.user': 'shop',
      'database.password': 'S3cret',
      'signal.consumer.sasl.jaas.config': 'module required username="u" password="kafka-pw";',
      'x.password': '${env:PASSWORD}',
      'y.password': 'shop',
    };
    const hide = hiderOf(options, {});
    assert.equal(hide('shop said S3cret and kafka-pw'), 'shop said … and …');
    assert.equal(hide('${env:PASSWORD}'), '${env:PASSWORD}');
  });

  test('hides the login for Kafka, which the file need not name', () => {
    const sasl = { mechanism: 'PLAIN', username: 'millrace', password: 'kafka-"pw' };
    const hide = hiderOf({}, { sasl });
    assert.equal(hide('millrace by PLAIN with kafka-"pw'), 'millrace by PLAIN with …');
    assert.equal(hide(String.raw`password="kafka-\"pw"`), 'password="…"');
  });
});
