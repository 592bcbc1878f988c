import { DuckDbWarehouse } from '../../src/adapters/duckdb/warehouse.ts';
import { shopModelsContract } from '../../test/contracts/shop-models.ts';

shopModelsContract('DuckDB', (tempDirectory) =>
  DuckDbWarehouse.open({ memoryLimit: '512MB', tempDirectory }),
);
