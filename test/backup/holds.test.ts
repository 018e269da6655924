// Who keeps whom away: the table of docs/operations/backups-and-recovery.md.
import { expect, test } from "vitest";
import { openStore } from "../../src/backends/open.ts";
import { createBackup } from "../../src/backup/create.ts";
import { drillBackup } from "../../src/backup/drill.ts";
import { restoreInPlace } from "../../src/backup/in-place.ts";
import { pinBackup } from "../../src/backup/pins.ts";
import { planPrune, prune } from "../../src/backup/prune.ts";
import { restoreBackup } from "../../src/backup/restore.ts";
import { restoreActor } from "../../src/backup/restore-actor.ts";
import { verifyBackups } from "../../src/backup/verify.ts";
import { isPapyraError } from "../../src/errors.ts";
import { compact } from "../../src/ops/compact.ts";
import { recover } from "../../src/ops/recover.ts";
import { event, world, type World, write } from "./world.ts";

const WORK: Readonly<Record<string, (world: World) => Promise<unknown>>> = {
  backup: ({ store, objects }) => createBackup(store, objects),
  "backup of another store": ({ objects, at }) => createBackup(at("/srv/other"), objects),
  compaction: ({ store }) => compact(store, { retention: { events: { maxRecords: 1 } } }),
  recovery: async ({ store, env }) => {
    const file = await env.fs.open(`${store.location}/events.ndjson`, "update");
    await file.write(Buffer.from("?"), 120); // something to mend
    await file.close();
    return recover(store, { mode: "repair" });
  },
  prune: ({ objects }) => prune(objects, { keep: { last: 1 } }),
  pin: ({ objects }) => pinBackup(objects, "latest"),
  "plan of a prune": ({ objects }) => planPrune(objects, { keep: { last: 1 } }),
  verify: ({ objects }) => verifyBackups(objects),
  restore: ({ objects, env, store }) => restoreBackup(objects, env, "/restored", { store: storeOf(store.location) }),
  drill: ({ objects, env, store }) =>
    drillBackup(objects, env, { scratch: "/scratch", store: storeOf(store.location) }),
  "restore in place": ({ objects, env, store }) => restoreInPlace(objects, env, store.location),
  "restore of an actor": ({ objects, store }) =>
    restoreActor(objects, store, { actor: "account/42", as: "account/43" }),
};
const known = new Map<string, string>();
const storeOf = (location: string): string | undefined => known.get(location);

/** What is at work meanwhile. */
const HOLDERS: Readonly<Record<string, (world: World) => Promise<() => Promise<void>>>> = {
  "a service that writes": async ({ store }) => {
    const open = await openStore(store);
    return () => open.close();
  },
  "a backup": async ({ store, objects }) => {
    const [pin, hold] = [await store.pin?.("backup"), await objects.hold("shared", "backup")];
    return async () => {
      await pin?.release();
      await hold.release();
    };
  },
  "a compaction": async ({ store }) => {
    const pin = await store.pin?.("compaction");
    return async () => {
      await pin?.release();
    };
  },
  "a prune": async ({ objects }) => {
    const hold = await objects.hold("exclusive", "prune");
    return () => hold.release();
  },
  "a verification": async ({ objects }) => {
    const hold = await objects.hold("shared", "verify");
    return () => hold.release();
  },
};

/** Beside whom each is refused; beside all others it is done. */
const REFUSED: Readonly<Record<string, readonly string[]>> = {
  backup: ["a backup", "a compaction", "a prune"],
  "backup of another store": ["a prune"],
  compaction: ["a service that writes", "a backup", "a compaction"],
  recovery: ["a service that writes", "a backup", "a compaction"],
  prune: ["a backup", "a prune", "a verification"],
  pin: ["a prune"],
  "plan of a prune": [],
  verify: ["a prune"],
  restore: ["a prune"],
  drill: ["a prune"],
  "restore in place": ["a service that writes", "a backup", "a compaction", "a prune"],
  "restore of an actor": ["a service that writes", "a prune"],
};

test.each(Object.keys(HOLDERS))("beside %s", async (holder) => {
  for (const [name, work] of Object.entries(WORK)) {
    const one = world();
    await write(one.store, 5);
    const journal = await openStore(one.store);
    const deposit = {
      system_id: "local",
      persistence_id: "account/42",
      event_type: "deposited",
      version: 1,
      payload: 1,
    };
    await journal.append("journal", [{ kind: "journal", revision: 1, ...deposit }]);
    await journal.append("events", [event(6)]);
    await journal.close();
    known.set(one.store.location, (await createBackup(one.store, one.objects)).backup.store);
    await write(one.at("/srv/other"), 3);
    const free = await (HOLDERS[holder] as (typeof HOLDERS)[string])(one);
    const code = await work(one).then(
      () => "done",
      (error: unknown) => (isPapyraError(error) ? error.code : error),
    );
    await free();
    const locked = ["STORE_LOCKED", "REPOSITORY_LOCKED"].includes(code as string);
    const refused = (REFUSED[name] as readonly string[]).includes(holder);
    expect([name, locked ? "refused" : code]).toEqual([name, refused ? "refused" : "done"]);
    if (refused) await work(one); // afterwards it is free
  }
});
