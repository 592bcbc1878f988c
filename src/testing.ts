export { type ReadRecord, TopologyTestDriver } from './stream/driver/topology-test-driver.ts';
