import { temporaryCertificate } from '../servers/certificate.ts';
import { freePort } from '../servers/free-port.ts';
import { temporaryKafka, type TemporaryKafka } from '../servers/kafka.ts';
import { temporaryRedis, type TemporaryRedis } from '../servers/redis.ts';
import type { Environment } from './shop-millrace.ts';

const USER = { name: 'shop', password: 'the-word-of-kafka' };
const REDIS_PASSWORD = 'the-word-of-redis';

/** Kafka and Redis that ask for TLS and a login, each with a plain port beside. */
export type SecuredServers = AsyncDisposable &
  Readonly<{
    kafka: TemporaryKafka;
    redis: TemporaryRedis;
    /** What a client needs to get in. */
    env: Environment;
    secrets: readonly string[];
  }>;

export async function securedServers(): Promise<SecuredServers> {
  await using stack = new AsyncDisposableStack();
  const { certificateFile, keyFile, keystoreFile } = stack.use(await temporaryCertificate());
  const kafka = stack.use(
    await temporaryKafka({
      listeners: { SECURED: 'SASL_SSL' },
      scramUsers: [USER],
      settings: {
        'listener.name.secured.ssl.keystore.type': 'PEM',
        'listener.name.secured.ssl.keystore.location': keystoreFile,
        'listener.name.secured.sasl.enabled.mechanisms': 'SCRAM-SHA-512',
        'listener.name.secured.scram-sha-512.sasl.jaas.config':
          'org.apache.kafka.common.security.scram.ScramLoginModule required;',
      },
    }),
  );
  const port = await freePort();
  const redis = stack.use(
    await temporaryRedis({
      'tls-port': String(port),
      'tls-cert-file': certificateFile,
      'tls-key-file': keyFile,
      'tls-auth-clients': 'no',
      user: [USER.name, 'on', `>${REDIS_PASSWORD}`, '~*', '+@all'],
    }),
  );
  const env = {
    KAFKA_BROKER: kafka.brokersAt('SECURED').join(),
    KAFKA_SECURITY_PROTOCOL: 'SASL_SSL',
    KAFKA_SSL_CA: certificateFile,
    KAFKA_SASL_MECHANISM: 'SCRAM-SHA-512',
    KAFKA_SASL_USERNAME: USER.name,
    KAFKA_SASL_PASSWORD: USER.password,
    REDIS_HOST: redis.host,
    REDIS_PORT: String(port),
    REDIS_USERNAME: USER.name,
    REDIS_PASSWORD,
    REDIS_TLS: 'true',
    REDIS_SSL_CA: certificateFile,
  };
  const owned = stack.move();
  return {
    kafka,
    redis,
    env,
    secrets: [USER.password, REDIS_PASSWORD],
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
