import { changeSourceContract } from '../../../test/contracts/change-source.ts';
import { temporaryPostgres } from '../../../test/postgres.ts';
import { PostgresClient } from './client.ts';
import { PostgresSource } from './source.ts';

changeSourceContract('PostgresSource', async () => {
  const server = await temporaryPostgres();
  return {
    open: () => PostgresSource.open(server),
    connect: () => PostgresClient.connect(server),
    [Symbol.asyncDispose]: () => server.stop(),
  };
});
