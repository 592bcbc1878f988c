import type { ConnectorStatus } from '../domain/status.ts';

/** Rows of a demonstration are to be seen as changes, so they come after the first copy. */
export function hasCopied(connector: ConnectorStatus | undefined): true | undefined {
  return connector?.state === 'streaming' ? true : undefined;
}
