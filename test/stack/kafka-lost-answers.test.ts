import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { after, describe, test } from 'node:test';
import { KafkaEventLog } from '../../src/adapters/kafka/event-log.ts';
import type { MillraceError } from '../../src/domain/errors.ts';
import { blocksOf, type RecordBlock } from '../../src/domain/record-block.ts';
import type { EventLog } from '../../src/ports/event-log.ts';
import { readTo } from '../../src/ports/read-to.ts';
import { freePort } from './servers/free-port.ts';
import { temporaryKafka } from './servers/kafka.ts';

/** The records of these tests are of 1970. */
const RETENTION = { ms: Number.MAX_SAFE_INTEGER, bytes: 1 << 30 };

// https://kafka.apache.org/protocol#protocol_api_keys
const REQUESTS = { produce: 0, begin: 24, commit: 26 };

describe('KafkaEventLog, when an answer is lost on the way,', async () => {
  const port = await freePort();
  const inner = await freePort();
  const kafka = await temporaryKafka({
    port: inner,
    advertisedPort: port,
    listeners: { DIRECT: 'PLAINTEXT' },
  });
  const line = new LossyLine(port, inner);
  await line.open();
  after(async () => {
    await line.close();
    await kafka[Symbol.asyncDispose]();
  });
  const open = (brokers = kafka.brokers) =>
    KafkaEventLog.open({ brokers }, { retention: RETENTION });

  for (const [name, request] of Object.entries(REQUESTS)) {
    test(`appends once all the same: ${name}`, async () => {
      await using log = await open();
      const topic = await created(log);
      const producer = await log.openProducer(randomUUID());
      await producer.append([block(topic, '0')], '0');
      const lost = line.loseAnswerTo(request);
      const appends = [producer.append([block(topic, '1')], '1')];
      await lost;
      await line.open();
      appends.push(producer.append([block(topic, '2')], '2'));
      await Promise.all(appends);
      assert.deepEqual(await values(log, topic), ['0', '1', '2']);
      assert.equal(producer.position, '2');
    });
  }

  test('does not deny a commit that was decided before another took over', async () => {
    await using log = await open();
    await using direct = await open(kafka.brokersAt('DIRECT'));
    const topic = await created(log);
    const name = randomUUID();
    const producer = await log.openProducer(name);
    const lost = line.loseAnswerTo(REQUESTS.commit);
    const appended = producer.append([block(topic, 'decided')], 'decided');
    await lost;
    const heir = await direct.openProducer(name);
    assert.equal(heir.position, 'decided');
    await heir.append([block(topic, 'heir')], 'heir');
    await line.open();
    await appended;
    await assert.rejects(
      producer.append([block(topic, 'late')], 'late'),
      (error: MillraceError) => error.code === 'producer_fenced',
    );
    assert.deepEqual(await values(direct, topic), ['decided', 'heir']);
    assert.equal(await direct.positionOf(name), 'heir');
  });

  test('denies a commit that another came before', async () => {
    await using log = await open();
    await using direct = await open(kafka.brokersAt('DIRECT'));
    const topic = await created(log);
    const name = randomUUID();
    const producer = await log.openProducer(name);
    // Stored, but not decided.
    const lost = line.loseAnswerTo(REQUESTS.produce);
    const appended = producer.append([block(topic, 'undecided')], 'undecided');
    await lost;
    const heir = await direct.openProducer(name);
    assert.equal(heir.position, undefined);
    await heir.append([block(topic, 'heir')], 'heir');
    await line.open();
    await assert.rejects(appended, (error: MillraceError) => error.code === 'producer_fenced');
    assert.deepEqual(await values(direct, topic), ['heir']);
    assert.equal(await direct.positionOf(name), 'heir');
  });
});

/** Leads clients to a broker, until it is told to lose an answer: then the line is down until it is opened again. */
class LossyLine {
  readonly #port: number;
  readonly #to: number;
  readonly #sockets = new Set<Socket>();
  #server: Server | undefined;
  #loses: { request: number; lost: () => void } | undefined;

  constructor(port: number, to: number) {
    this.#port = port;
    this.#to = to;
  }

  async open(): Promise<void> {
    const server = createServer((client) => this.#lead(client));
    server.listen(this.#port, '127.0.0.1');
    await once(server, 'listening');
    this.#server = server;
  }

  async close(): Promise<void> {
    const server = this.#server;
    if (server === undefined) return;
    this.#server = undefined;
    const closed = once(server, 'close');
    server.close();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  /** Resolves when the broker has answered such a request, and the client was told nothing. */
  async loseAnswerTo(request: number): Promise<void> {
    await new Promise<void>((lost) => (this.#loses = { request, lost }));
    await this.close();
  }

  #lead(client: Socket): void {
    const broker = connect(this.#to, '127.0.0.1');
    let awaited: (() => void) | undefined;
    client.on('data', (chunk) => {
      // A request is written at once: length i32, then its key.
      if (
        this.#loses !== undefined &&
        chunk.length > 5 &&
        chunk.readInt16BE(4) === this.#loses.request
      ) {
        awaited = this.#loses.lost;
        this.#loses = undefined;
      }
      broker.write(chunk);
    });
    broker.on('data', (chunk) => (awaited === undefined ? client.write(chunk) : awaited()));
    for (const [socket, other] of [
      [client, broker],
      [broker, client],
    ] as const) {
      this.#sockets.add(socket);
      socket.on('error', () => other.destroy());
      socket.on('close', () => {
        other.destroy();
        this.#sockets.delete(socket);
      });
    }
  }
}

async function created(log: EventLog): Promise<string> {
  const name = `topic-${randomUUID().slice(0, 8)}`;
  await log.createTopics([{ name, partitions: 1, cleanup: 'delete' }]);
  return name;
}

function block(topic: string, value: string): RecordBlock {
  const record = { key: null, value: Buffer.from(value), timestampMs: 1000, headers: [] };
  const [only] = blocksOf([{ topic, partition: 0, record }]);
  assert.ok(only);
  return only;
}

async function values(log: EventLog, topic: string): Promise<string[]> {
  const { start, end } = await log.offsets({ topic, partition: 0 });
  const found: string[] = [];
  const { signal } = new AbortController();
  for await (const records of readTo(log, { topic, partition: 0, offset: start }, end, signal)) {
    for (const { value } of records) found.push(Buffer.from(value ?? []).toString());
  }
  return found;
}
