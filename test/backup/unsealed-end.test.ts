// A segment that was closed because of an unfinished write has no seal, and the one behind it says so: what a restore makes of it.
import { expect, test } from "vitest";
import type { Backend } from "../../src/backends/backend.ts";
import { openStore } from "../../src/backends/open.ts";
import { createBackup } from "../../src/backup/create.ts";
import { restoreBackup } from "../../src/backup/restore.ts";
import { account } from "../../src/ops/account.ts";
import { compact } from "../../src/ops/compact.ts";
import { recover } from "../../src/ops/recover.ts";
import { scan } from "../../src/ops/scan.ts";
import { world, write } from "./world.ts";

test("a restore to the end of a segment without a seal gives it one: the next lineage begins behind it, also when it is compacted", async () => {
  const { disk, store, objects, env, at } = world();
  const seal = async (backend: Backend): Promise<void> => {
    const opened = await openStore(backend);
    await opened.maintain("seal", (work) => work.seal("events"));
    await opened.close();
  };
  await write(store, 10);
  const torn = Buffer.from('{"seq":11,');
  disk.corrupt(`${store.location}/events.ndjson`, (bytes) => Buffer.concat([bytes, torn]));
  await write(store, 3); // goes on in a new segment, whose seal says that the one before has none
  await seal(store);
  expect(await recover(store, { mode: "repair" })).toMatchObject({ ok: true, removedBytes: torn.length });
  await createBackup(store, objects);
  for (const seq of [10, 12]) {
    const restored = at(`/restored-${seq}`);
    await restoreBackup(objects, env, restored.location, { point: { log: "events", seq } });
    expect(await scan(restored)).toMatchObject({ ok: true });
    await write(restored, 4);
    await seal(restored);
    expect(await scan(restored)).toMatchObject({ ok: true });
    await compact(restored, { retention: { events: { maxRecords: 6 } } });
    expect((await account(restored, { log: "events" })).logs).toMatchObject([{ compacted: seq - 2, missing: 0 }]);
    expect(await scan(restored)).toMatchObject({ ok: true });
    expect(await recover(restored, { mode: "repair" })).toMatchObject({ changed: false });
    await write(restored, 2);
    expect(await scan(restored)).toMatchObject({ ok: true });
  }
});
