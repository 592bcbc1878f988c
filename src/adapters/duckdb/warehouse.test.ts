import { warehouseContract } from '../../../test/contracts/warehouse.ts';
import { DuckDbWarehouse } from './warehouse.ts';

warehouseContract('DuckDbWarehouse', (dir) =>
  DuckDbWarehouse.open({ memoryLimit: '256MB', tempDirectory: dir }),
);
