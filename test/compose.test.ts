import assert from 'node:assert/strict';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, test } from 'node:test';
import { Ajv } from 'ajv';
import { readConfig } from '../src/app/config/config.ts';
import { must } from '../src/lib/must.ts';
import { composeParts, interpolate, variablesIn, type Service } from './compose-project.ts';

const ROOT = join(import.meta.dirname, '..');
const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8');

const dockerfile = read('deploy/millrace/Dockerfile');
const isOurs = ({ build }: Service): boolean => build !== undefined;
const isRole = (service: Service): boolean => isOurs(service) && service.entrypoint === undefined;
const bytes = (size: string): number =>
  Number.parseInt(size) * { m: 2 ** 20, g: 2 ** 30 }[must(size.at(-1), 'sizes have a unit') as 'm'];

const fitsSchema = (() => {
  const schema = JSON.parse(read('test/schemas/compose-spec/compose-spec.json')) as object;
  // The address that it names the meta-schema by is not the one that the meta-schema has.
  return new Ajv({ strict: false }).compile({
    ...schema,
    $schema: 'http://json-schema.org/draft-07/schema#',
  });
})();

for (const profile of ['kraft', 'zookeeper']) {
  const parts = composeParts({ KAFKA_PROFILE: profile });
  const services = parts.flatMap(({ folder, content }) =>
    Object.entries(content.services ?? {}).map(([name, service]) => ({ name, service, folder })),
  );
  const of = (name: string): Service =>
    must(services.find((each) => each.name === name)?.service, `there is a service ${name}`);
  const names = (fits: (service: Service) => boolean): string[] =>
    services.filter(({ service }) => fits(service)).map(({ name }) => name);

  describe(`compose.yaml with Kafka's profile ${profile}`, () => {
    test('holds against the schema of the Compose specification', () => {
      for (const { path, content } of parts)
        assert.ok(fitsSchema(content), `${path}: ${JSON.stringify(fitsSchema.errors)}`);
    });

    test('has the services that the documents name, each once', () => {
      const expected = ['postgres', 'kafka', 'connect', 'redis'];
      const processors = ['cdc-processor', 'stream-processor', 'batch-processor'];
      const roles = ['capture', ...processors, 'data-generator'];
      const more = profile === 'zookeeper' ? ['zookeeper'] : [];
      const always = names((each) => each.profiles === undefined);
      assert.deepEqual(always.toSorted(), [...expected, ...roles, ...more].toSorted());
      const spark = names(({ profiles = [] }) => profiles.includes('spark'));
      assert.deepEqual(spark.toSorted(), ['spark-master', 'spark-worker']);
    });

    test('pins every image that is not built here to one version', () => {
      const loose = names((each) => !isOurs(each) && !/:\d+\.\d+[.\w-]*$/.test(each.image ?? ''));
      assert.deepEqual(loose, []);
    });

    test('runs nothing as root', () => {
      const isRoot = (each: Service): boolean =>
        isOurs(each) ? !/^USER node$/m.test(dockerfile) : /^(|root|0)$/.test(each.user ?? '');
      assert.deepEqual(names(isRoot), []);
    });

    test('limits the memory of every service, and gives a JVM at most half of it', () => {
      assert.deepEqual(
        names((each) => each.mem_limit === undefined),
        [],
      );
      for (const { name, service } of services) {
        const heap = /-Xmx(\d+m)/.exec(service.environment?.['KAFKA_HEAP_OPTS'] ?? '')?.[1];
        const limit = bytes(must(service.mem_limit, 'all have one'));
        if (heap !== undefined) assert.ok(bytes(heap) <= limit / 2, name);
      }
    });

    test('asks every service for its health, or says why not', () => {
      const silent = names(
        (each) => each.healthcheck === undefined && each['x-no-healthcheck'] === undefined,
      );
      assert.deepEqual(silent, []);
    });

    test('starts each service after the health of those that it needs', () => {
      for (const { name, service } of services)
        for (const [needed, need] of Object.entries(service.depends_on ?? {})) {
          assert.equal(need.condition, 'service_healthy', `${name} needs ${needed}`);
          assert.ok(of(needed).healthcheck, `${name} waits for the health of ${needed}`);
          const isAlways = of(needed).profiles === undefined || service.profiles !== undefined;
          assert.equal(need.required ?? true, isAlways, `${name} may have to do without ${needed}`);
        }
    });

    test('starts again what ended, and lets nothing write to its image', () => {
      assert.deepEqual(
        names((each) => each.restart !== 'unless-stopped' || each.read_only !== true),
        [],
      );
    });

    test('publishes ports on loopback alone', () => {
      const published = services.flatMap(({ service }) => service.ports ?? []);
      const expected = [5432, 6379, 8083, 9092, ...(profile === 'zookeeper' ? [2181] : [])];
      assert.deepEqual(
        published.toSorted(),
        expected.map((port) => `127.0.0.1:${port}:${port}`).toSorted(),
      );
    });

    test('mounts files that exist, read-only, and volumes that are declared', () => {
      const declared = parts.flatMap(({ content }) => Object.keys(content.volumes ?? {}));
      for (const { name, service, folder } of services)
        for (const mount of service.volumes ?? []) {
          const [source = '', target, mode] = mount.split(':');
          // One of the container's own has no source, and its owner from the image.
          if (target === undefined)
            assert.match(dockerfile, new RegExp(`install .* ${source}$`, 'm'));
          else if (!source.startsWith('.'))
            assert.ok(declared.includes(source), `${name}: ${mount}`);
          else {
            assert.ok(existsSync(resolve(folder, source)), `${name}: ${mount}`);
            assert.equal(mode, 'ro', `${name}: ${mount}`);
          }
        }
    });

    test('names its variables in .env.example, and holds no other password', () => {
      const example = read('.env.example');
      for (const { path, text } of parts)
        for (const name of variablesIn(text))
          assert.match(example, new RegExp(`^#${name}=`, 'm'), `${path}: ${name}`);
      const fixed = services.flatMap(({ name, service }) =>
        Object.entries(service.environment ?? {})
          .filter(([key, value]) => key.endsWith('PASSWORD') && !/^\$\{\w+:-/.test(value))
          .map(([key]) => `${name}: ${key}`),
      );
      assert.deepEqual(fixed, []);
    });

    test('gives the roles of Millrace an environment that it takes, with servers for all', () => {
      for (const { service } of services.filter((each) => isRole(each.service))) {
        const environment = Object.entries(service.environment ?? {}).map(
          ([name, value]) => [name, interpolate(String(value), {})] as const,
        );
        const config = readConfig(Object.fromEntries(environment));
        assert.deepEqual(
          [config.source.kind, config.log.kind, config.store.kind, config.connector.kind],
          ['server', 'kafka', 'redis', 'debezium'],
        );
      }
    });
  });
}

test('an unset KAFKA_PROFILE is kraft', () => {
  assert.deepEqual(composeParts(), composeParts({ KAFKA_PROFILE: 'kraft' }));
});

test('the images are of the versions that the stack tests start', () => {
  const [kraft, connect] = ['deploy/kafka/kraft.yaml', 'deploy/connect/compose.yaml'].map(read);
  const versionIn = (pom: string, artifact: string): string | undefined =>
    new RegExp(`<artifactId>${artifact}</artifactId>\\s*<version>(.*)</version>`).exec(
      read(`test/stack/servers/poms/${pom}.xml`),
    )?.[1];
  assert.match(must(kraft, 'read'), new RegExp(`kafka:${versionIn('kafka', 'kafka_2.13')}\n`));
  const debezium = versionIn('debezium', 'debezium-connector-postgres');
  assert.match(must(connect, 'read'), new RegExp(`debezium/connect:${debezium}\n`));
});

describe('the Dockerfile', () => {
  type Versions = Readonly<Record<string, string>>;
  const manifest = JSON.parse(read('package.json')) as Record<
    'dependencies' | 'devDependencies',
    Versions
  >;

  test('takes the Node that the checkout runs on', () => {
    const bases = Array.from(dockerfile.matchAll(/^FROM node:([\d.]+)-/gm), ([, each]) => each);
    assert.deepEqual(bases, [manifest.devDependencies['node']]);
  });

  test('has a stage for each engine of models, and ends with the one that needs no Spark', () => {
    const stages = Array.from(dockerfile.matchAll(/^FROM (\S+)(?: AS (\S+))?$/gm));
    const named = stages.map(([, , name]) => name);
    const targets = composeParts().flatMap(({ content }) =>
      Object.values(content.services ?? {}).flatMap(({ build }) => build?.target ?? []),
    );
    const engines = ['duckdb', 'spark'];
    for (const engine of engines) {
      assert.equal(named.filter((name) => name === engine).length, 1);
      for (const target of targets) {
        const chosen = interpolate(target, { MILLRACE_WAREHOUSE: engine });
        assert.ok(engines.includes(chosen), chosen);
      }
    }
    assert.deepEqual(stages.at(-1)?.slice(1), ['duckdb', undefined]);
  });

  test('brings every package that a pipeline imports', () => {
    const files = globSync('pipelines/**/*.ts', { cwd: ROOT, exclude: ['**/*.test.ts'] });
    const imported = files
      .flatMap((file) =>
        Array.from(read(file).matchAll(/from '([^.'][^']*)'/g), ([, each]) => each),
      )
      .map((each) => /^(@[^/]+\/)?[^/]+/.exec(must(each, 'the pattern has it'))?.[0] ?? '')
      .filter((name) => !name.startsWith('node:'));
    assert.ok(imported.length > 0);
    const missing = imported.filter((name) => !Object.hasOwn(manifest.dependencies, name));
    assert.deepEqual(missing, []);
  });

  test('copies files that exist and that .dockerignore lets through', () => {
    const ignored = read('.dockerignore').split('\n');
    const copied = Array.from(dockerfile.matchAll(/^COPY (?!--from)(.+) \S+$/gm), ([, each]) =>
      must(each, 'the pattern has it').split(' '),
    ).flat();
    assert.ok(copied.length > 0);
    for (const source of copied) {
      assert.ok(existsSync(join(ROOT, source)), source);
      assert.ok(ignored.includes(`!${source}`), source);
    }
  });
});
