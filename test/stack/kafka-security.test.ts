import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { promisify } from 'node:util';
import {
  AclOperations,
  type AclOperationValue,
  AclPermissionTypes,
  Admin,
  ResourcePatternTypes,
  ResourceTypes,
  type ResourceTypeValue,
} from '@platformatic/kafka';
import type { KafkaAddress } from '../../src/adapters/kafka/address.ts';
import { KafkaEventLog } from '../../src/adapters/kafka/event-log.ts';
import type { ErrorCode, MillraceError } from '../../src/domain/errors.ts';
import { blocksOf } from '../../src/domain/record-block.ts';
import { freePort } from './servers/free-port.ts';
import { temporaryKafka } from './servers/kafka.ts';

const run = promisify(execFile);
/** The records of these tests are of 1970. */
const RETENTION = { ms: Number.MAX_SAFE_INTEGER, bytes: 1 << 30 };
const SECRET = 'shop-secret';
const SCRAM_MODULE = 'org.apache.kafka.common.security.scram.ScramLoginModule';
const PLAIN_MODULE = 'org.apache.kafka.common.security.plain.PlainLoginModule';

const open = (address: KafkaAddress) => KafkaEventLog.open(address, { retention: RETENTION });

describe('KafkaEventLog, on a broker that is secured,', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'millrace-kafka-tls-'));
  after(() => rm(folder, { recursive: true }));
  const certificate = await selfSigned(folder);
  const kafka = await temporaryKafka({
    listeners: { TLS: 'SSL', SCRAM: 'SASL_SSL', PLAIN: 'SASL_PLAINTEXT' },
    scramUsers: [
      { name: 'shop', password: SECRET },
      { name: 'reader', password: SECRET },
    ],
    settings: {
      'ssl.keystore.type': 'PEM',
      'ssl.keystore.location': certificate.keystore,
      'listener.name.scram.sasl.enabled.mechanisms': 'SCRAM-SHA-256,SCRAM-SHA-512',
      'listener.name.scram.scram-sha-256.sasl.jaas.config': `${SCRAM_MODULE} required;`,
      'listener.name.scram.scram-sha-512.sasl.jaas.config': `${SCRAM_MODULE} required;`,
      'listener.name.plain.sasl.enabled.mechanisms': 'PLAIN',
      'listener.name.plain.plain.sasl.jaas.config': `${PLAIN_MODULE} required user_shop="${SECRET}";`,
      'authorizer.class.name': 'org.apache.kafka.metadata.authorizer.StandardAuthorizer',
      'super.users': 'User:ANONYMOUS;User:shop',
    },
  });
  after(() => kafka[Symbol.asyncDispose]());

  const tls = { caFile: certificate.caFile };
  const shop = { username: 'shop', password: SECRET };
  const ways: Readonly<Record<string, KafkaAddress>> = {
    TLS: { brokers: kafka.brokersAt('TLS'), tls },
    'SCRAM-SHA-256 and TLS': {
      brokers: kafka.brokersAt('SCRAM'),
      tls,
      sasl: { ...shop, mechanism: 'SCRAM-SHA-256' },
    },
    'SCRAM-SHA-512 and TLS': {
      brokers: kafka.brokersAt('SCRAM'),
      tls,
      sasl: { ...shop, mechanism: 'SCRAM-SHA-512' },
    },
    PLAIN: { brokers: kafka.brokersAt('PLAIN'), sasl: { ...shop, mechanism: 'PLAIN' } },
  };

  for (const [name, address] of Object.entries(ways)) {
    test(`appends and reads by ${name}`, async () => {
      await using log = await open(address);
      await log.createTopics([{ name: 'orders', partitions: 1, cleanup: 'delete' }]);
      const producer = await log.openProducer(name);
      const { end } = await log.offsets({ topic: 'orders', partition: 0 });
      await producer.append([order(name)], 'here');
      const { signal } = new AbortController();
      for await (const batch of log.read({ topic: 'orders', partition: 0, offset: end }, signal)) {
        assert.equal(Buffer.from(batch.records[0]?.value ?? []).toString(), name);
        break;
      }
    });
  }

  test('names what keeps it from logging in, and never the password', async () => {
    const scram = { brokers: kafka.brokersAt('SCRAM'), tls };
    const wrong: readonly KafkaAddress[] = [
      { ...scram, sasl: { ...shop, mechanism: 'SCRAM-SHA-256', password: 'not-the-secret' } },
      { ...scram, sasl: { ...shop, mechanism: 'SCRAM-SHA-512', username: 'nobody' } },
      { ...scram, sasl: { ...shop, mechanism: 'PLAIN' } },
      { ...scram, tls: {}, sasl: { ...shop, mechanism: 'SCRAM-SHA-256' } },
      { brokers: kafka.brokersAt('TLS'), tls: {} },
      { brokers: kafka.brokersAt('PLAIN'), tls },
      {
        brokers: kafka.brokersAt('PLAIN'),
        sasl: { mechanism: 'PLAIN', username: 'shop', password: 'not-the-secret' },
      },
      { brokers: kafka.brokers, sasl: { ...shop, mechanism: 'PLAIN' } },
    ];
    for (const address of wrong) {
      await assert.rejects(open(address), (error: MillraceError) => {
        assert.equal(error.code, 'log_login_failed', `${JSON.stringify(address)}: ${error}`);
        assert.doesNotMatch(JSON.stringify(error.facts) + String(error), /secret/);
        return true;
      });
    }
    for (const listener of ['TLS', 'SCRAM', 'PLAIN']) {
      await assert.rejects(open({ brokers: kafka.brokersAt(listener) }), (error: MillraceError) => {
        // A broker that hangs up may as well be going down, unless it says more in time.
        assert.match(error.code, /^log_(unreachable|login_failed)$/, String(error));
        assert.match(String(error), /security protocol|requires TLS/);
        return true;
      });
    }
    await rejects(open({ brokers: [`127.0.0.1:${await freePort()}`] }), 'log_unreachable');
    await rejects(open({ brokers: kafka.brokers, tls: { caFile: '/none' } }), 'config_invalid');
  });

  test('names what a user may not do, and needs no more than what is documented', async () => {
    const sasl = { mechanism: 'SCRAM-SHA-256', username: 'reader', password: SECRET } as const;
    const restricted = { brokers: kafka.brokersAt('SCRAM'), tls, sasl };
    {
      await using log = await open(restricted);
      await rejects(log.openProducer('restricted'), 'log_refuses');
    }
    const admin = new Admin({ clientId: 'admin', bootstrapBrokers: [...kafka.brokers] });
    const { CREATE, DESCRIBE, DESCRIBE_CONFIGS, READ, WRITE } = AclOperations;
    const { TOPIC, GROUP, TRANSACTIONAL_ID } = ResourceTypes;
    const allow =
      (resourceType: ResourceTypeValue, resourceName: string) => (operation: number) => ({
        resourceType,
        resourceName,
        resourcePatternType: ResourcePatternTypes.PREFIXED,
        principal: 'User:reader',
        host: '*',
        operation: operation as AclOperationValue,
        permissionType: AclPermissionTypes.ALLOW,
      });
    const topicRights = [CREATE, DESCRIBE, DESCRIBE_CONFIGS, READ, WRITE];
    await admin.createAcls({
      creations: [
        ...topicRights.map(allow(TOPIC, 'allowed.')),
        ...topicRights.map(allow(TOPIC, 'millrace.positions')),
        ...[DESCRIBE, WRITE].map(allow(TRANSACTIONAL_ID, 'millrace/')),
        ...[DESCRIBE, READ].map(allow(GROUP, 'millrace/')),
      ],
    });
    await admin.close();
    await using log = await open(restricted);
    const topic = 'allowed.orders';
    await log.createTopics([{ name: topic, partitions: 1, cleanup: 'delete' }]);
    assert.deepEqual(
      (await log.topics()).map(({ name }) => name),
      [topic],
    );
    const producer = await log.openProducer('restricted');
    await producer.append([order('a', topic)], 'position');
    assert.equal(await log.positionOf('restricted'), 'position');
    const { signal } = new AbortController();
    for await (const { records } of log.read({ topic, partition: 0, offset: 0 }, signal)) {
      assert.equal(records.length, 1);
      break;
    }
    for await (const assignment of log.join('restricted', [topic], signal)) {
      if (assignment.length > 0) break;
    }
    const forbidden = { name: 'forbidden', partitions: 1, cleanup: 'delete' } as const;
    await rejects(log.createTopics([forbidden]), 'log_refuses');
  });
});

function order(value: string, topic = 'orders') {
  const record = { key: null, value: Buffer.from(value), timestampMs: 1000, headers: [] };
  const [block] = blocksOf([{ topic, partition: 0, record }]);
  assert.ok(block);
  return block;
}

/** Of loopback, and trusted as its own issuer. */
async function selfSigned(folder: string) {
  const [key, caFile, keystore] = ['key.pem', 'ca.pem', 'keystore.pem'].map((name) =>
    join(folder, name),
  ) as [string, string, string];
  const request = 'req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost';
  const names = ['-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'];
  await run('openssl', [...request.split(' '), ...names, '-keyout', key, '-out', caFile]);
  await writeFile(keystore, (await readFile(key, 'utf8')) + (await readFile(caFile, 'utf8')));
  return { caFile, keystore };
}

async function rejects(promise: Promise<unknown>, code: ErrorCode): Promise<void> {
  await assert.rejects(promise, (error: MillraceError) => {
    assert.equal(error.code, code, String(error));
    return true;
  });
}
