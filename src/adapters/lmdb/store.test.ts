import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { storeContract } from '../../../test/contracts/store.ts';
import { LmdbStore } from './store.ts';

const folder = await mkdtemp(join(tmpdir(), 'millrace-store-'));
after(() => rm(folder, { recursive: true }));
const temporaryFolder = () => mkdtemp(join(folder, 'store-'));

storeContract('LmdbStore', async () => LmdbStore.open({ dir: await temporaryFolder() }));
