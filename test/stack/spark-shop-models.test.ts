import { SparkWarehouse } from '../../src/adapters/spark/warehouse.ts';
import { shopModelsContract } from '../contracts/shop-models.ts';
import { installedSpark } from './servers/spark.ts';

const spark = await installedSpark();
const env = { ...process.env, ...spark.env };

shopModelsContract('Spark', (workDir) =>
  SparkWarehouse.open({ submit: spark.submit, master: 'local[2]', workDir, env }),
);
