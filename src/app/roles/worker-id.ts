import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';

/** Names this process among others that run the same parts, anywhere. */
export function newWorkerId(): string {
  return `${hostname()}-${process.pid}-${randomBytes(2).toString('hex')}`;
}
