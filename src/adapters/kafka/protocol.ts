import {
  addPartitionsToTxnV3,
  apiVersionsV3,
  createTopicsV6,
  describeConfigsV4,
  describeTransactionsV0,
  endTxnV3,
  findCoordinatorV4,
  heartbeatV4,
  initProducerIdV4,
  joinGroupV7,
  leaveGroupV4,
  listOffsetsV7,
  metadataV12,
  syncGroupV5,
} from '@platformatic/kafka';
import { fetch } from './fetch-request.ts';
import { produce } from './produce-request.ts';

/**
 * The requests that are sent, each in one version, which every broker from 3.9 on speaks: what a
 * broker answers does not depend on what was negotiated with it. See
 * https://kafka.apache.org/protocol
 */
export const addPartitions = addPartitionsToTxnV3.api;
export const apiVersions = apiVersionsV3.api;
export const createTopics = createTopicsV6.api;
export const describeConfigs = describeConfigsV4.api;
export const describeTransactions = describeTransactionsV0.api;
export const endTransaction = endTxnV3.api;
export const findCoordinator = findCoordinatorV4.api;
export const heartbeat = heartbeatV4.api;
export const initProducerId = initProducerIdV4.api;
export const joinGroup = joinGroupV7.api;
export const leaveGroup = leaveGroupV4.api;
export const listOffsets = listOffsetsV7.api;
export const metadata = metadataV12.api;
export const syncGroup = syncGroupV5.api;
export { fetch, produce };

/** What a broker must offer, in the versions that are spoken. */
export const REQUIRED: readonly Readonly<{ key: number; version: number }>[] = [
  addPartitions,
  createTopics,
  describeConfigs,
  describeTransactions,
  endTransaction,
  fetch,
  findCoordinator,
  heartbeat,
  initProducerId,
  joinGroup,
  leaveGroup,
  listOffsets,
  metadata,
  produce,
  syncGroup,
];
