// Packed repositories under crashes: at every call of making the keys and of rotating them, the old ones or the new ones open
// everything, and the next run ends what was begun.
import { expect, test } from "vitest";
import { createBackup } from "../../src/backup/create.ts";
import { directoryObjects } from "../../src/backup/directory.ts";
import { packObjects } from "../../src/backup/packed.ts";
import { rotateKeys } from "../../src/backup/rotate-keys.ts";
import { verifyBackups } from "../../src/backup/verify.ts";
import { fileBackend } from "../../src/backends/files.ts";
import { isPapyraError } from "../../src/errors.ts";
import { impatient } from "../sim-env.ts";
import { ada, bob, crashesOf, encryptedFor, identitiesOf, namesIn, refusal, repositoryOn } from "./packed-world.ts";
import { world, write } from "./world.ts";

const OLD = ["keys/000001.age", "keys/000001.sha256"];
const NEW = ["keys/000002.age", "keys/000002.sha256"];

test("rotating, cut at every call: exactly one of old and new opens everything, and the next run ends it", async () => {
  const { disk, store, objects: inner } = world();
  await write(store, 10);
  await createBackup(store, packObjects(inner, encryptedFor(ada)));
  const rotation = { identities: [ada.identity], recipients: [bob.recipient] };
  const opens = { old: 0, new: 0, both: 0 };
  for (const { disk: next, how } of await crashesOf(disk, () => rotateKeys(inner, rotation))) {
    const files = await namesIn(repositoryOn(next, {}), "keys/");
    const committed = files.includes("keys/000002.age");
    const [owner, other] = committed ? [bob, ada] : [ada, bob];
    expect({ how, report: await verifyBackups(repositoryOn(next, identitiesOf(owner))) }).toMatchObject({
      how,
      report: { ok: true },
    });
    const error = await refusal(verifyBackups(repositoryOn(next, identitiesOf(other))));
    expect({ how, code: error.code }).toEqual({ how, code: "KEY_WRONG" });
    opens[committed ? "new" : "old"] += 1;
    if (committed && files.includes("keys/000001.age")) opens.both += 1;

    const again = await rotateKeys(repositoryOn(next, {}), {
      identities: [ada.identity, bob.identity],
      recipients: [bob.recipient],
    });
    const left = await namesIn(repositoryOn(next, {}), "keys/");
    expect({ how, left: left.includes(again.keyFile), count: left.length }).toEqual({ how, left: true, count: 2 });
    expect(left.some((name) => OLD.includes(name))).toBe(false);
    expect(await verifyBackups(repositoryOn(next, identitiesOf(bob)))).toMatchObject({ ok: true });
  }
  expect(await namesIn(inner, "keys/")).toEqual(NEW);
  for (const count of Object.values(opens)) expect(count).toBeGreaterThan(2);
});

test("the first encrypted backup, cut at every call: the next one goes on, encrypted", async () => {
  const { disk, store, objects: inner } = world();
  await write(store, 10);
  let states = 0;
  for (const { disk: next, how } of await crashesOf(disk, () =>
    createBackup(store, packObjects(inner, encryptedFor(ada))),
  )) {
    const objects = repositoryOn(next, encryptedFor(ada));
    const made = await createBackup(fileBackend({ path: "/srv/store" }, impatient(next)), objects);
    expect({ how, ok: made.ok }).toEqual({ how, ok: true });
    expect(await verifyBackups(objects, { level: "replay" })).toMatchObject({ ok: true });
    const raw = directoryObjects(impatient(next), "/backups/repository");
    expect({ how, keys: await namesIn(raw, "keys/") }).toEqual({ how, keys: OLD });
    expect((await namesIn(raw, "segments/")).filter((name) => !name.endsWith(".enc"))).toEqual([]);
    states += 1;
  }
  expect(states).toBeGreaterThan(60);
});

test("every call of a rotation that fails once: an error, or done; nobody is locked out", async () => {
  let n = 1;
  for (let hit = true; hit; n++) {
    const { disk, objects: inner } = world();
    await packObjects(inner, encryptedFor(ada)).put("state/x", Buffer.from("x"));
    disk.failAt(n, "EIO");
    const error: unknown = await rotateKeys(inner, { identities: [ada.identity], recipients: [bob.recipient] }).then(
      () => undefined,
      (reason: unknown) => reason,
    );
    hit = disk.faultsHit > 0;
    disk.clearFaults();
    if (error !== undefined) expect(isPapyraError(error, "STORAGE_FAILED")).toBe(true);
    else expect(await namesIn(inner, "keys/")).toEqual(NEW);
    const x = await packObjects(inner, identitiesOf(ada, bob)).get("state/x");
    expect(String(x), `EIO at call ${n}`).toBe("x");
  }
  expect(n).toBeGreaterThan(30);
});
