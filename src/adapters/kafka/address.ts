import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import type { ConnectionOptions } from '@platformatic/kafka';
import { MillraceError } from '../../domain/errors.ts';

/** How to reach a Kafka cluster. */
export type KafkaAddress = Readonly<{
  /** `host:port` of some of the brokers; the others are learned from them. */
  brokers: readonly string[];
  /** Without it the connections are plain. `caFile` is needed where the system does not trust the issuer. */
  tls?: Readonly<{ caFile?: string }>;
  sasl?: Readonly<{
    mechanism: 'PLAIN' | 'SCRAM-SHA-256' | 'SCRAM-SHA-512';
    username: string;
    password: string;
  }>;
}>;

export type HostAndPort = Readonly<{ host: string; port: number }>;

const DEFAULT_PORT = 9092;

/** Fails with `config_invalid`. */
export function parseBroker(text: string): HostAndPort {
  const [, ipv6, name, port] = /^(?:\[([^\]]+)\]|([^:\s]+))(?::(\d+))?$/.exec(text.trim()) ?? [];
  const host = ipv6 ?? name;
  const number = port === undefined ? DEFAULT_PORT : Number(port);
  if (host === undefined || number < 1 || number > 65_535) {
    throw new MillraceError('config_invalid', { expected: 'a broker as host:port', found: text });
  }
  return { host, port: number };
}

/** What a connection is made with. Reads the CA file; fails with `config_invalid` without it. */
export function securityOf({ tls, sasl }: KafkaAddress): (host: string) => ConnectionOptions {
  const certificates = tls?.caFile === undefined ? {} : { ca: readCertificate(tls.caFile) };
  return (host) => ({
    ...(tls !== undefined && { tls: certificates, tlsServerName: isIP(host) === 0 }),
    ...(sasl !== undefined && { sasl: { ...sasl } }),
  });
}

function readCertificate(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    throw new MillraceError('config_invalid', { expected: 'a CA certificate', file }, error);
  }
}
