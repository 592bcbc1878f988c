import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { MillraceError } from '../domain/errors.ts';
import {
  customSink,
  postgresTable,
  type SinkDeclaration,
  webhook,
} from '../stream/sinks/declarations.ts';
import { topology } from '../stream/topology/topology.ts';
import { topicsOf } from './compose.ts';
import type { Pipeline } from './pipeline.ts';
import { processorNames, readSinks } from './sinks.ts';

const table = { url: '${env:WAREHOUSE_URL}', table: 'analytics.bids', key: ['id'] };

function pipelineOf(sinks: Readonly<Record<string, SinkDeclaration>>): Pipeline {
  const built = topology('auctions', {}, ({ topic }) => {
    for (const [name, sink] of Object.entries(sinks)) topic('bids').sink(sink, { name });
  });
  return { name: 'test', processors: [built] };
}

const described = (pipeline: Pipeline, environment: Record<string, string>) =>
  readSinks(pipeline, environment).processors.map(({ name, sink }) => [name, sink.description]);

describe('the sinks of a pipeline', () => {
  test('are filled in from the environment, each a processor with a topic of its name', () => {
    const pipeline = pipelineOf({
      warehouse: postgresTable(table),
      alerts: webhook({ url: 'https://${env:HOST}/hook', authorization: 'Bearer ${env:TOKEN}' }),
      own: customSink({ description: 'a file', write: async () => {} }),
    });
    const environment = {
      WAREHOUSE_URL: 'postgres://etl:hunter2@warehouse/dw',
      HOST: 'example.com',
      TOKEN: 's3cret',
    };
    assert.deepEqual(described(pipeline, environment), [
      ['auctions.warehouse', 'PostgreSQL table analytics.bids'],
      ['auctions.alerts', 'webhook https://example.com'],
      ['auctions.own', 'a file'],
    ]);
    assert.deepEqual(processorNames(pipeline), [
      'auctions',
      'auctions.warehouse',
      'auctions.alerts',
      'auctions.own',
    ]);
    const topics = topicsOf(pipeline).map(({ name }) => name);
    for (const topic of ['auctions.warehouse', 'auctions.warehouse.dead-letters'])
      assert.ok(topics.includes(topic), topic);
  });

  test('take any character in a part of an address', () => {
    const url = 'postgres://etl:${env:PASSWORD}@warehouse/dw';
    const pipeline = pipelineOf({ warehouse: postgresTable({ ...table, url }) });
    assert.equal(described(pipeline, { PASSWORD: 'a/b@c:d%e' }).length, 1);
  });

  test('rest where they are optional and the environment says too little', () => {
    const hook = webhook({ url: '${env:ALERT_WEBHOOK_URL}', optional: true });
    const pipeline = pipelineOf({ alerts: hook });
    assert.deepEqual(readSinks(pipeline, { ALERT_WEBHOOK_URL: '' }), {
      processors: [],
      resting: [{ name: 'auctions.alerts', missing: ['ALERT_WEBHOOK_URL'] }],
    });
    assert.equal(described(pipeline, { ALERT_WEBHOOK_URL: 'http://localhost:1/' }).length, 1);
  });

  test('are refused with all that is wrong, and no secret', () => {
    const pipeline = pipelineOf({
      warehouse: postgresTable(table),
      other: postgresTable({ ...table, url: 'postgres://hunter2' }),
      alerts: webhook({ url: 'ftp://hunter2', optional: true }),
      headed: webhook({ url: 'http://host', headers: { 'x y': 'hunter2' } }),
    });
    assert.throws(
      () => readSinks(pipeline, {}),
      (error: unknown) => {
        assert.ok(error instanceof MillraceError);
        assert.equal(error.code, 'config_invalid');
        const problems = error.facts['problems'] as string[];
        assert.equal(problems.length, 4);
        assert.ok(problems.includes('WAREHOUSE_URL: not set, expected by sink auctions.warehouse'));
        return !error.message.includes('hunter2');
      },
    );
  });
});
