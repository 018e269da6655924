// The public surface of "papyra/testing": the contract suite for backends, a disk that fails on purpose, a clock that
// moves by hand. Nothing here is needed by a running system.
export {
  backendContract,
  type ContractCapability,
  type ContractCase,
  type ContractOutcome,
  type ContractPlace,
  type ContractStore,
  type ContractSubject,
} from "./backend-contract.ts";
export { ManualClock } from "./manual-clock.ts";
export {
  PowerCut,
  ProcessKilled,
  type SimCall,
  SimDisk,
  type SimDiskOptions,
  type SimFault,
  type SimOperation,
  type Survival,
} from "./sim-disk.ts";
