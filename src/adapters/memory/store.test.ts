import { storeContract } from '../../../test/contracts/store.ts';
import { MemoryStore } from './store.ts';

storeContract('MemoryStore', async () => new MemoryStore());
