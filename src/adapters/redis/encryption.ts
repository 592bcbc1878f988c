import { connect as connectPlain } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { RedisAddress } from './client.ts';

const PROBE_MS = 2000;

/**
 * Whether a server that could not be reached speaks TLS where plain was asked for, or the other way
 * round: neither side says so by itself, the connection is closed or stays silent.
 */
export async function findEncryption({
  host,
  port,
  tls,
}: RedisAddress): Promise<'plain' | 'TLS' | undefined> {
  const isOther = tls === undefined ? await speaksTls(host, port) : await speaksPlain(host, port);
  if (!isOther) return undefined;
  return tls === undefined ? 'TLS' : 'plain';
}

// Any certificate will do: nothing is sent.
function speaksTls(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connectTls({ host, port, rejectUnauthorized: false, timeout: PROBE_MS });
    const tell = (isSo: boolean) => () => {
      socket.destroy();
      resolve(isSo);
    };
    socket.once('secureConnect', tell(true));
    for (const event of ['error', 'close', 'timeout']) socket.once(event, tell(false));
  });
}

function speaksPlain(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connectPlain({ host, port, timeout: PROBE_MS });
    const tell = (isSo: boolean): void => {
      socket.destroy();
      resolve(isSo);
    };
    socket.once('connect', () => socket.write('PING\r\n'));
    // A pong, or the error that one must log in first.
    socket.once('data', (reply) => tell(/^[+-]/.test(reply.toString('latin1'))));
    for (const event of ['error', 'close', 'timeout']) socket.once(event, () => tell(false));
  });
}
