// Sealed segments in a store: a scan verifies what their seals say, opening never writes behind one, and recovery seals
// anew what it has mended.
import { describe, expect, test } from "vitest";
import type { Backend } from "../src/backends/backend.ts";
import { fileBackend } from "../src/backends/files.ts";
import { replaceDurably } from "../src/env/durable.ts";
import { memoryBackend } from "../src/backends/memory.ts";
import { openStore } from "../src/backends/open.ts";
import type { Seal } from "../src/log/seal.ts";
import { activeName, closedName } from "../src/log/segments.ts";
import { recover } from "../src/ops/recover.ts";
import { scan } from "../src/ops/scan.ts";
import { SimDisk } from "../src/testing/sim-disk.ts";
import { buildLog, type Step } from "./docs/sealed-log.ts";

interface Place {
  readonly backend: Backend;
  /** Undefined: there is no such file. */
  put(name: string, bytes: Uint8Array | undefined): Promise<void>;
  get(name: string): Buffer;
}

const PLACES: Readonly<Record<string, () => Place>> = {
  memory() {
    const backend = memoryBackend({}, new SimDisk().env);
    return {
      backend,
      put: async (name, bytes) => backend.putSegment(name, bytes),
      get: (name) => backend.segmentBytes(name),
    };
  },
  "files on the simulated disk"() {
    const disk = new SimDisk();
    const { fs, random } = disk.env;
    return {
      backend: fileBackend({ path: "/s" }, disk.env),
      put: (name, bytes) =>
        bytes === undefined
          ? fs.remove(`/s/${name}`)
          : replaceDurably(fs, random, `/s/${name}`, (append) => append(bytes)),
      get: (name) => disk.content(`/s/${name}`),
    };
  },
};

const steps = (from: number, to: number): Step[] =>
  Array.from({ length: to - from + 1 }, (_, i) => ({ seq: from + i }));
const SEGMENTS: readonly (readonly Step[])[] = [
  steps(1, 3),
  [{ seq: 4 }, { seq: 7, gap: [5, 6] }],
  steps(8, 10),
  steps(11, 12),
];
const NAMES = [closedName("events", 1), closedName("events", 4), closedName("events", 8), activeName("events")];
type SealFields = Omit<Seal, "kind">;

/** A store whose events are three sealed segments and an active one; the mark vouches for all of them. */
async function sealedStore(
  place: Place,
  lie?: (seal: SealFields, i: number) => SealFields,
  damage: (files: Buffer[]) => (Uint8Array | undefined)[] = (files) => files,
): Promise<void> {
  const store = await openStore(place.backend);
  const { store: id, lineage } = store.identity;
  await store.close();
  const files = buildLog({ log: "events", store: id, lineage }, SEGMENTS, lie);
  await putAll(place, files);
  await (await openStore(place.backend)).close();
  await putAll(place, damage([...files]));
}

async function putAll(place: Place, files: readonly (Uint8Array | undefined)[]): Promise<void> {
  for (const [i, bytes] of files.entries()) await place.put(NAMES[i] as string, bytes);
}

const allBytes = (place: Place): Buffer => Buffer.concat(NAMES.map((name) => place.get(name)));
const records = (place: Place): string[] =>
  allBytes(place)
    .toString()
    .split("\n")
    .filter((line) => line.startsWith('{"seq"'));
const sealOf = (file: Buffer): number => file.lastIndexOf(0x0a, file.length - 2) + 1;

for (const [kind, make] of Object.entries(PLACES)) {
  describe(kind, () => {
    test("three sealed segments and an active one are healthy, and are written on", async () => {
      const place = make();
      await sealedStore(place);
      expect(await scan(place.backend)).toMatchObject({ ok: true, anomalies: [] });
      const store = await openStore(place.backend);
      const { firstSeq } = await store.append("events", [
        { kind: "event", system_id: "s", actor_address: "a", event_type: "Noted", payload: {} },
      ]);
      expect(firstSeq).toBe(13);
      await store.close();
      expect(await scan(place.backend)).toMatchObject({ ok: true });
    });

    const other = "0".repeat(64);
    test.each<[string, (seal: SealFields) => SealFields, number]>([
      ["bytes", (seal) => ({ ...seal, bytes: seal.bytes - 1 }), 1],
      ["records", (seal) => ({ ...seal, records: seal.records + 1 }), 1],
      ["first_seq", (seal) => ({ ...seal, first_seq: seal.first_seq + 1 }), 1],
      ["last_seq", (seal) => ({ ...seal, last_seq: seal.last_seq + 1 }), 1],
      ["first_timestamp", (seal) => ({ ...seal, first_timestamp: seal.first_timestamp - 1 }), 1],
      ["last_timestamp", (seal) => ({ ...seal, last_timestamp: seal.last_timestamp + 1 }), 1],
      ["sha256", (seal) => ({ ...seal, sha256: other }), 1],
      ["sha256", (seal) => ({ ...seal, sha256: undefined as unknown as string }), 1],
      ["does not follow", (seal) => ({ ...seal, previous: other }), 1],
      ["does not follow", (seal) => ({ ...seal, previous: null }), 1],
      ["sha256", (seal) => ({ ...seal, sha256: other }), 0],
      ["sha256", (seal) => ({ ...seal, sha256: other }), 2],
      ["records", (seal) => ({ ...seal, records: 9, replaces: 7 as unknown as string[] }), 0],
    ])("a seal that lies about itself is found: %s", async (word, lie, segment) => {
      const place = make();
      await sealedStore(place, (seal, i) => (i === segment ? lie(seal) : seal));
      const before = records(place);
      const report = await scan(place.backend);
      expect(report.anomalies).toHaveLength(1);
      const [anomaly] = report.anomalies;
      const name = NAMES[segment] as string;
      const offset = sealOf(place.get(name));
      const length = place.get(name).length - offset;
      expect(anomaly).toMatchObject({ kind: "checksum-mismatch", file: name, offset, length, acknowledged: "none" });
      expect(anomaly?.detail).toContain(word);
      const recovered = await recover(place.backend, { mode: "quarantine" });
      expect(recovered).toMatchObject({ ok: true, changed: true, removedBytes: length, gaps: [] });
      expect(recovered.actions).toMatchObject([{ what: "sealed anew", file: name }]);
      expect(recovered.after.anomalies).toEqual([]);
      expect(records(place)).toEqual(before);
      expect(recovered.quarantine).toBeDefined();
    });

    test("the seal of a segment that was rewritten names the seal that later ones know", async () => {
      const place = make();
      let old: string | null = null;
      await sealedStore(place, (seal, i) => {
        if (i === 1) old = seal.previous; // what the second one names is what the first one once was
        return i === 0
          ? { ...seal, replaces: ["1".repeat(64)] }
          : i === 1
            ? { ...seal, previous: "1".repeat(64) }
            : seal;
      });
      expect(old).not.toBeNull();
      expect(await scan(place.backend)).toMatchObject({ ok: true });
    });

    test("whole lines behind a seal are found", async () => {
      const place = make();
      await sealedStore(place, undefined, (files) => {
        const [, second, third] = files as [Buffer, Buffer, Buffer];
        const lines = third.subarray(third.indexOf(0x0a) + 1, sealOf(third));
        return files
          .with(1, Buffer.concat([second, lines]))
          .with(2, Buffer.concat([third.subarray(0, third.indexOf(0x0a) + 1), third.subarray(sealOf(third))]));
      });
      const { anomalies } = await scan(place.backend);
      expect(anomalies[0]).toMatchObject({
        kind: "checksum-mismatch",
        file: NAMES[1],
        detail: "whole lines stand behind the seal",
      });
      expect(anomalies[1]).toMatchObject({ kind: "checksum-mismatch", file: NAMES[2] });
      expect(anomalies).toHaveLength(2);
    });

    test("an active segment that ends in a seal is not written on", async () => {
      const place = make();
      await sealedStore(place, undefined, (files) => [files[0], files[1], undefined, files[2]]);
      const sealed = place.get(NAMES[3] as string);
      const store = await openStore(place.backend);
      await store.append("events", [
        { kind: "event", system_id: "s", actor_address: "a", event_type: "Noted", payload: {} },
      ]);
      await store.close();
      const { segments } = await place.backend.view();
      const closed = segments.filter(({ log, active }) => log === "events" && !active);
      expect(closed.map(({ name }) => name)).toEqual(NAMES.slice(0, 3));
      expect(place.get(NAMES[2] as string).equals(sealed)).toBe(true);
    });
  });
}

test("a flipped bit anywhere in a sealed segment is found, at most twice, and recovery comes to an end", async () => {
  const model = (PLACES.memory as () => Place)();
  await sealedStore(model);
  const { length } = model.get(NAMES[1] as string);
  for (let at = 0; at < length; at++) {
    const place = (PLACES.memory as () => Place)();
    await sealedStore(place, undefined, (files) => {
      const flipped = Buffer.from(files[1] as Buffer);
      flipped[at] = (flipped[at] as number) ^ (1 << (at % 8));
      return files.with(1, flipped);
    });
    const before = await scan(place.backend);
    expect([1, 2], `byte ${at}`).toContain(before.anomalyCount);
    const { after } = await recover(place.backend, { mode: "quarantine" });
    expect([at, after.anomalies, after.logs.find(({ log }) => log === "events")?.missing]).toEqual([at, [], 0]);
    const bytes = allBytes(place);
    expect([at, (await recover(place.backend, { mode: "quarantine" })).changed]).toEqual([at, false]);
    expect(allBytes(place).equals(bytes)).toBe(true);
  }
});

for (const [kind, make] of Object.entries(PLACES)) {
  describe(`recovery: ${kind}`, () => {
    test("a sealed segment that loses every record gets a seal that says so", async () => {
      const place = make();
      await sealedStore(place, undefined, ([first, ...rest]) => {
        const bytes = Buffer.from(first as Buffer);
        for (const { index } of bytes.toString("latin1").matchAll(/^\{"seq":/gm)) bytes[index + 30]! ^= 1;
        return [bytes, ...rest];
      });
      const recovered = await recover(place.backend, { mode: "quarantine" });
      expect(recovered, JSON.stringify(recovered.after.anomalies)).toMatchObject({ ok: true, after: { ok: true } });
      const first = place.get(NAMES[0] as string).toString();
      expect(first.split("\n").length, "the identity and the seal").toBe(3);
      expect(first).toContain('"records":0,"first_seq":0,"last_seq":0');
      expect((await recover(place.backend, { mode: "quarantine" })).changed).toBe(false);
    });

    test("without an active segment, as a crash while one is closed leaves it, gap records find their place", async () => {
      const place = make();
      await sealedStore(place, undefined, (files) => {
        const bytes = Buffer.from(files[0] as Buffer);
        bytes[bytes.indexOf('{"seq":2,') + 30]! ^= 1;
        return [bytes, files[1], files[2], undefined];
      });
      const recovered = await recover(place.backend, { mode: "quarantine" });
      expect(recovered).toMatchObject({ ok: true, after: { ok: true } });
      expect(recovered.actions.map(({ what }) => what)).toContain("file created");
      expect(recovered.gaps).toContainEqual(expect.objectContaining({ from: 2, to: 2, reason: "quarantined" }));
      expect((await recover(place.backend, { mode: "quarantine" })).changed).toBe(false);
    });
  });
}
