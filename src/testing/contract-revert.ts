// The contract of a recovery that is planned and of one that is reverted: what was planned is what happens, and what happened
// can be put back byte for byte.
import assert from "node:assert/strict";
import { recover, type RecoverMode } from "../ops/recover.ts";
import { applyRecover, planRecover } from "../ops/recover-plan.ts";
import { revert } from "../ops/revert.ts";
import { scan } from "../ops/scan.ts";
import {
  collect,
  type ContractCase,
  contractCase,
  type ContractStore,
  event,
  linesIn,
  refused,
  withStore,
} from "./contract-subject.ts";

const COUNT = 60;
const place = () => ({ limits: { segmentBytes: 4096 } });

async function fill(store: ContractStore, from: number, to: number): Promise<void> {
  await withStore(store.backend(), async (writer) => {
    for (let n = from; n <= to; n++) await writer.append("events", [event({ n, text: "x".repeat(100) })]);
  });
}

/** The bytes of all segments. */
async function bytesOf(store: ContractStore): Promise<Map<string, string>> {
  const bytes = new Map<string, string>();
  for (const { name } of (await store.backend().view()).segments) {
    bytes.set(name, Buffer.from(await store.segmentBytes(name)).toString("latin1"));
  }
  return bytes;
}

async function change(store: ContractStore, name: string, by: (bytes: Buffer) => Buffer): Promise<void> {
  await store.putSegment(name, by(Buffer.from(await store.segmentBytes(name))));
}

const without = (bytes: Buffer, line: number): Buffer => Buffer.concat(linesIn(bytes).filter((_, i) => i !== line));

const DAMAGES: readonly {
  readonly what: string;
  readonly befall: (store: ContractStore, first: string) => Promise<void>;
}[] = [
  {
    what: "flipped bits in two sealed segments",
    async befall(store, first) {
      for (const name of [first, (await namesOf(store))[1] as string]) {
        await change(store, name, (bytes) => {
          bytes[300]! ^= 4;
          return bytes;
        });
      }
    },
  },
  {
    what: "a torn tail",
    befall: (store) =>
      change(store, "events.ndjson", (bytes) => Buffer.concat([bytes, Buffer.from('{"seq":4711,"kin')])),
  },
  {
    what: "a line without its line break",
    befall: (store) => change(store, "events.ndjson", (bytes) => bytes.subarray(0, bytes.length - 1)),
  },
  {
    what: "two swapped lines",
    befall: (store, first) =>
      change(store, first, (bytes) => {
        const lines = linesIn(bytes);
        return Buffer.concat([lines[0]!, lines[2]!, lines[1]!, ...lines.slice(3)]);
      }),
  },
  { what: "a lost line and a doubled one", befall: lostAndDoubled },
  { what: "a lost segment", befall: (store, first) => store.putSegment(first, undefined) },
  { what: "a lost active segment", befall: (store) => store.putSegment("events.ndjson", undefined) },
  { what: "a log without any segment", befall: (store) => store.putSegment("audits.ndjson", undefined) },
  {
    what: "a damaged identity line",
    befall: (store, first) =>
      change(store, first, (bytes) => {
        bytes[12]! ^= 1;
        return bytes;
      }),
  },
];

async function lostAndDoubled(store: ContractStore, first: string): Promise<void> {
  await change(store, first, (bytes) => without(bytes, 3));
  await change(store, "events.ndjson", (bytes) => Buffer.concat([bytes, linesIn(bytes)[1] as Buffer]));
}

async function namesOf(store: ContractStore): Promise<string[]> {
  const { segments } = await store.backend().view();
  return segments.filter(({ log }) => log === "events").map(({ name }) => name);
}

const run = { id: "20260101T031500Z-a1b2c3", nowMs: 1_767_237_300_000 };

const plans = DAMAGES.flatMap(({ what, befall }) =>
  (["repair", "quarantine"] as const satisfies readonly RecoverMode[]).map((mode) =>
    contractCase(
      `recover (${mode}) does what was planned: ${what}`,
      async (store) => {
        await fill(store, 1, COUNT);
        await befall(store, (await namesOf(store))[0] as string);
        const before = await bytesOf(store);
        const plan = await planRecover(store.backend(), { mode, run });
        assert.deepEqual(await bytesOf(store), before, "a plan changes nothing");
        assert.equal((await store.quarantined()).size, 0);
        assert.equal(plan.report.changed, true);
        assert.equal((await planRecover(store.backend(), { mode, run })).fingerprint, plan.fingerprint);
        const other = await planRecover(store.backend(), { mode: mode === "repair" ? "quarantine" : "repair", run });
        assert.notEqual(other.fingerprint, plan.fingerprint);
        const done = await applyRecover(store.backend(), { mode, run, fingerprint: plan.fingerprint });
        const strip = (report: typeof done) => ({ ...report, verdict: "" });
        assert.deepEqual(
          { ...strip(done), after: { ...done.after, logs: [] } },
          { ...strip(plan.report), after: { ...plan.report.after, logs: [] } },
        );
        for (const { file, bytesAfter } of plan.report.segments) {
          assert.equal((await store.segmentBytes(file)).length, bytesAfter, file);
        }
        await refused(applyRecover(store.backend(), { mode, run, fingerprint: plan.fingerprint }), "STORE_CHANGED");
      },
      { needs: ["damage"], place },
    ),
  ),
);

const reverts: readonly ContractCase[] = DAMAGES.map(({ what, befall }) =>
  contractCase(
    `a recovery is reverted byte for byte: ${what}`,
    async (store) => {
      await fill(store, 1, COUNT);
      await befall(store, (await namesOf(store))[0] as string);
      const damaged = await bytesOf(store);
      const verdictBefore = (await scan(store.backend())).counts;
      const { id } = await recover(store.backend(), { mode: "quarantine" });
      assert.ok(id !== undefined);
      const mended = await bytesOf(store);
      assert.notDeepEqual(mended, damaged);
      const report = await revert(store.backend(), { id });
      assert.equal(report.changed, true);
      assert.deepEqual(await bytesOf(store), damaged);
      assert.deepEqual((await scan(store.backend())).counts, verdictBefore, "and so is what is said of it");
      assert.equal((await revert(store.backend(), { id })).changed, false, "a second time there is nothing to do");
      assert.ok((await recover(store.backend(), { mode: "quarantine" })).after.ok, "it can be recovered again");
    },
    { needs: ["damage"], place },
  ),
);

const refusals: readonly ContractCase[] = [
  contractCase(
    "a recovery is not reverted when something was written since, nor when its quarantine is damaged or gone",
    async (store) => {
      await fill(store, 1, COUNT);
      const [first] = await namesOf(store);
      await change(store, first!, (bytes) => without(bytes, 3));
      const { id } = await recover(store.backend(), { mode: "quarantine" });
      await fill(store, COUNT + 1, COUNT + 1);
      const before = await bytesOf(store);
      await refused(revert(store.backend(), { id: id! }), "STORE_CHANGED");
      await refused(revert(store.backend(), { id: "20260101T031500Z-000000" }), "STORE_NOT_FOUND");
      await refused(revert(store.backend(), { id: "../../etc" }), "OPTION_INVALID");
      await withStore(store.backend(), async (writer) => {
        await refused(revert(store.backend(), { id: id! }), "STORE_LOCKED");
        assert.ok((await collect(writer.read("events"))).length > 0);
      });
      assert.deepEqual(await bytesOf(store), before);
    },
    { needs: ["damage"], place },
  ),
];

export const revertCases: readonly ContractCase[] = [...plans, ...reverts, ...refusals];
