// Stores with a history of so many records, made without waiting for the disk.
import { spawnSync } from "node:child_process";
import { fileStore, openStore } from "../dist/index.js";

const SEGMENT_BYTES = 4 << 20;
export const place = (path, segmentBytes = SEGMENT_BYTES) => fileStore({ path, durability: "os", segmentBytes });

export const event = (n) => ({
  kind: "event",
  system_id: "bench",
  actor_address: `bench://account/${n % 1000}`,
  event_type: "Deposited",
  payload: { amount: n % 977, currency: "EUR", reference: `ref-${n}` },
});

export const decided = (persistenceId, n) => ({
  kind: "journal",
  system_id: "bench",
  persistence_id: persistenceId,
  revision: n,
  event_type: "deposited",
  version: 1,
  payload: { amount: n % 977, currency: "EUR", reference: `ref-${n}` },
});

export async function makeHistory(path, log, count, record, segmentBytes) {
  const store = await openStore(place(path, segmentBytes));
  for (let n = 0; n < count; n += 2000) {
    await store.append(
      log,
      Array.from({ length: Math.min(2000, count - n) }, (_, i) => record(n + i + 1)),
    );
  }
  await store.close();
  spawnSync("sync"); // what is not on the disk yet would be written while something is measured
}
