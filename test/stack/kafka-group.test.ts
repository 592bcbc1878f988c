import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { createInterface } from 'node:readline';
import { after, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Admin } from '@platformatic/kafka';
import { Cluster } from '../../src/adapters/kafka/cluster.ts';
import { KafkaEventLog } from '../../src/adapters/kafka/event-log.ts';
import { GroupMember } from '../../src/adapters/kafka/group-member.ts';
import { temporaryKafka } from './servers/kafka.ts';

/** The records of these tests are of 1970. */
const RETENTION = { ms: Number.MAX_SAFE_INTEGER, bytes: 1 << 30 };
const PROGRAM = fileURLToPath(new URL('../programs/join-kafka-group.ts', import.meta.url));
const ALL = [0, 1, 2, 3];

describe('A consumer group of KafkaEventLog', async () => {
  const kafka = await temporaryKafka();
  after(() => kafka[Symbol.asyncDispose]());

  test('gives the partitions of a member that sleeps to others, and it learns so when it wakes', async () => {
    await using group = await Group.open(kafka.brokers);
    const sleeper = group.process();
    await sleeper.until((latest) => latest.length === 4);
    const other = group.member();
    await other.until((latest) => latest.length === 2);
    await sleeper.until((latest) => latest.length === 2);
    assert.deepEqual(
      [...sleeper.latest, ...other.latest].toSorted((a, b) => a - b),
      ALL,
    );

    sleeper.child.kill('SIGSTOP');
    await other.until((latest) => latest.length === 4);
    const told = sleeper.told.length;
    sleeper.child.kill('SIGCONT');
    await other.until((latest) => latest.length === 2);
    await sleeper.until((latest) => latest.length === 2);
    assert.deepEqual(sleeper.told[told], [], 'all was lost first');
    assert.deepEqual(
      [...sleeper.latest, ...other.latest].toSorted((a, b) => a - b),
      ALL,
    );
  });

  test('keeps what a member reads when another comes, and survives the broker', async () => {
    await using group = await Group.open(kafka.brokers);
    const one = group.member();
    await one.until((latest) => latest.length === 4);
    const two = group.member();
    await two.until((latest) => latest.length === 2);
    assert.ok(
      one.told.every((latest) => latest.length > 0),
      'it never had to let go of all',
    );
    await kafka.stop();
    await kafka.restart();
    const three = group.process();
    await three.until((latest) => latest.length > 0);
    await group.isSettled(one, two, three);
    three.child.kill('SIGKILL');
    await group.isSettled(one, two);
  });

  test('waits for a topic that a member names and the broker does not know yet', async () => {
    await using log = await KafkaEventLog.open(
      { brokers: kafka.brokers },
      { retention: RETENTION },
    );
    await using cluster = await Cluster.open({ brokers: kafka.brokers });
    const name = `late-${randomUUID().slice(0, 8)}`;
    const leaving = new AbortController();
    const assignments = new GroupMember(cluster, name, [name]).assignments(leaving.signal);
    const assigned = assignments.next();
    await isJoined(kafka.brokers, name);
    await log.createTopics([{ name, partitions: 1, cleanup: 'delete' }]);
    assert.deepEqual((await assigned).value, [{ topic: name, partition: 0 }]);
    leaving.abort();
    await assignments.next();
  });
});

/** Waits until the group has a member, which is about to tell who reads what. */
async function isJoined(brokers: readonly string[], group: string): Promise<void> {
  const admin = new Admin({ clientId: 'admin', bootstrapBrokers: [...brokers] });
  try {
    for (;;) {
      const groups = await admin.describeGroups({ groups: [group] });
      if (groups.get(group)?.state === 'CompletingRebalance') return;
    }
  } finally {
    await admin.close();
  }
}

/** What a member was told, one assignment after the other. */
class Told {
  readonly told: (readonly number[])[] = [];
  readonly onNews: () => void;

  constructor(onNews: () => void) {
    this.onNews = onNews;
  }

  get latest(): readonly number[] {
    return this.told.at(-1) ?? [];
  }
}

class Group implements AsyncDisposable {
  readonly #log: KafkaEventLog;
  readonly #brokers: readonly string[];
  readonly #name = `group-${randomUUID().slice(0, 8)}`;
  readonly #ending = new AbortController();
  readonly #members: Promise<void>[] = [];
  #news = Promise.withResolvers<void>();

  private constructor(log: KafkaEventLog, brokers: readonly string[]) {
    this.#log = log;
    this.#brokers = brokers;
  }

  static async open(brokers: readonly string[]): Promise<Group> {
    const log = await KafkaEventLog.open({ brokers }, { retention: RETENTION });
    const group = new Group(log, brokers);
    await log.createTopics([{ name: group.#name, partitions: 4, cleanup: 'delete' }]);
    return group;
  }

  /** In this process. */
  member() {
    const told = this.#told();
    const run = async (): Promise<void> => {
      while (!this.#ending.signal.aborted) {
        try {
          const { signal } = this.#ending;
          for await (const assignment of this.#log.join(this.#name, [this.#name], signal)) {
            told.told.push(assignment.map(({ partition }) => partition));
            told.onNews();
          }
        } catch {
          // While the broker was away; joined again.
          told.told.push([]);
        }
      }
    };
    this.#members.push(run());
    return this.#with(told);
  }

  /** In a process of its own. */
  process() {
    const told = this.#told();
    const args = [PROGRAM, this.#brokers.join(), this.#name, this.#name];
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    this.#ending.signal.addEventListener('abort', () => child.kill('SIGKILL'));
    createInterface(child.stdout).on('line', (line) => {
      told.told.push(JSON.parse(line) as number[]);
      told.onNews();
    });
    return Object.assign(this.#with(told), { child });
  }

  /** Waits until these hold all partitions, each one of them. */
  async isSettled(...members: readonly Told[]): Promise<void> {
    const held = () => members.flatMap(({ latest }) => latest).toSorted((a, b) => a - b);
    while (held().join() !== ALL.join()) await this.#news.promise;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending.abort();
    await Promise.all(this.#members);
    await this.#log[Symbol.asyncDispose]();
  }

  #told(): Told {
    return new Told(() => {
      this.#news.resolve();
      this.#news = Promise.withResolvers();
    });
  }

  #with(told: Told) {
    const until = async (condition: (latest: readonly number[]) => boolean): Promise<void> => {
      while (!condition(told.latest)) await this.#news.promise;
    };
    return Object.assign(told, { until });
  }
}
