// Closed segments that others have looked at: whoever reads a log by their word says exactly what reading it says, whatever is
// damaged. The answers are given here, and by real threads in test/cli/threads.test.ts.
import fc from "fast-check";
import { expect, test } from "vitest";
import type { Backend } from "../src/backends/backend.ts";
import { checkLog, type CheckedLog, type Stamp } from "../src/backends/check.ts";
import { fileBackend } from "../src/backends/files.ts";
import { identityOf } from "../src/backends/identities.ts";
import type { LookAhead } from "../src/backends/look-ahead.ts";
import { openStore } from "../src/backends/open.ts";
import { ThreadedLookAhead } from "../src/backends/segment-threads.ts";
import { lookForWhole, type WholeQuestion } from "../src/backends/whole-segment.ts";
import type { Env, Thread } from "../src/env/env.ts";
import { replaceDurably } from "../src/env/durable.ts";
import { encodeIdentity } from "../src/log/codec.ts";
import type { Identity } from "../src/log/record.ts";
import { decodeMark, encodeMark } from "../src/log/mark.ts";
import { activeName, closedName, MARK_FILE } from "../src/log/segments.ts";
import { SimDisk } from "../src/testing/sim-disk.ts";
import { buildLog, type Step } from "./docs/sealed-log.ts";

const SEED = Number(process.env.PAPYRA_SEED ?? 20_261_128);
const CLOSED = 5;
const PER_SEGMENT = 4;
const OPTIONS = { live: false, findingsMax: 1000, hashSealed: true };

/** Answers as a thread does, on the disk of the store; counts what it vouches for. */
class Answers {
  vouched = 0;
  asked = 0;
  readonly start = (env: Env) => (): Thread => ({
    ask: async (question) => {
      this.asked += 1;
      const found = await lookForWhole(env.fs, structuredClone(question) as WholeQuestion);
      if (found !== undefined) this.vouched += 1;
      return structuredClone(found);
    },
    end: async () => undefined,
  });
}

/** What a store is made of. */
interface Making {
  /** The gap record at this seq accounts for the one before. */
  readonly gapAt: number | undefined;
  /** The first seal states another hash, or another last seq. */
  readonly lie: "sha256" | "last_seq" | undefined;
  /** The mark vouches for the events up to here. */
  readonly marked: number | undefined;
  /** The active segment has no records yet. */
  readonly fresh: boolean;
}

const HEALTHY: Making = { gapAt: undefined, lie: undefined, marked: undefined, fresh: false };

/** A store whose events are closed segments and an active one, with payloads of this letter. */
async function storeOf(
  { gapAt, lie, marked, fresh }: Making,
  letter: string,
): Promise<{ disk: SimDisk; files: Map<string, Buffer> }> {
  const disk = new SimDisk();
  const store = await openStore(fileBackend({ path: "/s" }, disk.env));
  await store.close();
  const identity: Identity = { log: "events", store: store.identity.store, lineage: store.identity.lineage };
  const segments = Array.from({ length: CLOSED + 1 }, (_, i) =>
    Array.from({ length: i === CLOSED && fresh ? 0 : PER_SEGMENT }, (_, j): Step => {
      const seq = i * PER_SEGMENT + j + 1;
      return seq === gapAt ? { seq, gap: [seq - 1, seq - 1] } : { seq, payload: letter.repeat(seq * 10) };
    }).filter(({ seq }) => seq + 1 !== gapAt),
  );
  const lies = { sha256: "0".repeat(64), last_seq: PER_SEGMENT - 1 };
  const files = new Map(
    buildLog(identity, segments, (seal, i) =>
      i === 0 && lie !== undefined ? { ...seal, [lie]: lies[lie] } : seal,
    ).map((bytes, i) => [
      i === CLOSED ? activeName("events") : closedName("events", (segments[i] as Step[])[0]!.seq),
      bytes,
    ]),
  );
  for (const [name, bytes] of files) await put(disk, name, bytes);
  if (marked !== undefined) await markUpTo(disk, marked);
  return { disk, files };
}

async function markUpTo(disk: SimDisk, seq: number): Promise<void> {
  const mark = decodeMark(disk.content(`/s/${MARK_FILE}`))!;
  const count = mark.count + 1;
  const events = { written: seq, durable: seq, boot: mark.boot };
  const file = await disk.env.fs.open(`/s/${MARK_FILE}`, "update");
  const slot = encodeMark({ ...mark, count, logs: { ...mark.logs, events } });
  await file.write(slot, (count % 2) * slot.length);
  await file.close();
}

function put({ env }: SimDisk, name: string, bytes: Uint8Array): Promise<void> {
  return replaceDurably(env.fs, env.random, `/s/${name}`, (append) => append(bytes));
}

const stampOf = ({ seq, timestamp }: Stamp): Stamp => ({ seq, timestamp });

/** What reading says, and what is said by the word of `answers`. */
async function bothWays(disk: SimDisk, answers: Answers): Promise<{ read: CheckedLog; ahead: CheckedLog }> {
  const backend = fileBackend({ path: "/s" }, { ...disk.env, startThread: answers.start(disk.env) });
  const view = await backend.view();
  const closed = view.segments.filter(({ log, active }) => log === "events" && !active);
  const asked = closed.map((one) => [one, encodeIdentity(identityOf(view, "events", one)!)] as const);
  const lookAhead = (backend as Required<Backend>).lookAhead(asked, 2);
  const check = async (ahead?: LookAhead): Promise<CheckedLog> => {
    const { first, last, ...found } = await checkLog(backend, view, "events", { ...OPTIONS, ahead });
    return { ...found, first: first && stampOf(first), last: last && stampOf(last) }; // who reads has the record, too
  };
  const found = { read: await check(), ahead: await check(lookAhead) };
  await lookAhead.end();
  return found;
}

const damage = fc.record({
  how: fc.constantFrom(
    "flip",
    "delete",
    "insert",
    "cut",
    "lose",
    "double",
    "replace",
    "graft",
    "drop",
    "seal",
    "digit",
  ),
  file: fc.nat(CLOSED),
  at: fc.double({ min: 0, max: 0.9999, noNaN: true }),
  value: fc.nat(255),
});

const making: fc.Arbitrary<Making> = fc.record({
  gapAt: fc.option(fc.constantFrom(6, 7, 10, 15, 20), { nil: undefined }),
  lie: fc.option(fc.constantFrom("sha256", "last_seq"), { nil: undefined, freq: 2 }),
  marked: fc.option(fc.nat((CLOSED + 1) * PER_SEGMENT), { nil: undefined }),
  fresh: fc.boolean(),
});

/** The bytes of a file with a bit flipped, a line lost, and so on. */
function damaged(bytes: Buffer, how: string, at: number, value: number, donor: Buffer): Buffer {
  const offset = Math.floor(at * bytes.length);
  const [before, after] = [bytes.subarray(0, offset), bytes.subarray(offset)];
  const lines = bytes.toString("latin1").split(/(?<=\n)/);
  const line = Math.floor(at * lines.length);
  const joined = (changed: readonly string[]): Buffer => Buffer.from(changed.join(""), "latin1");
  switch (how) {
    case "flip":
      return Buffer.concat([before, Buffer.from([(after[0] as number) ^ (1 << (value % 8))]), after.subarray(1)]);
    case "delete":
      return Buffer.concat([before, after.subarray(1 + (value % 40))]);
    case "insert":
      return Buffer.concat([before, Buffer.alloc(1 + (value % 5), value), after]);
    case "cut":
      return before;
    case "lose":
      return joined(lines.toSpliced(line, 1));
    case "double":
      return joined(lines.toSpliced(line, 0, lines[value % lines.length] as string));
    case "graft":
      return joined(lines.toSpliced(line, 1, donor.toString("latin1").split(/(?<=\n)/)[value % 4] as string));
    case "seal":
      return joined(lines.slice(0, -1));
    case "digit":
      return Buffer.from(bytes.toString("latin1").replace(/"sha256":"(.)/, `"sha256":"${value % 10}`), "latin1");
    default:
      return donor;
  }
}

test(`by the word of others a check says what reading says, whatever is damaged (seed ${SEED})`, async () => {
  const seen = { cases: 0, vouched: 0, asked: 0, wrong: 0 };
  await fc.assert(
    fc.asyncProperty(fc.array(damage, { maxLength: 3 }), making, async (steps, how) => {
      const { disk, files } = await storeOf(how, "x");
      const other = await storeOf(how, "y");
      const names = [...files.keys()];
      for (const { how: what, file, at, value } of steps) {
        const name = names[file] as string;
        if ((await disk.env.fs.stat(`/s/${name}`)) === undefined) continue;
        const bytes = disk.content(`/s/${name}`);
        if (bytes.length === 0) continue;
        const donor = [...(value % 2 === 0 ? files : other.files).values()][value % names.length] as Buffer;
        if (what === "drop") await disk.env.fs.remove(`/s/${name}`);
        else await put(disk, name, damaged(bytes, what, at, value, donor));
      }
      const answers = new Answers();
      const { read, ahead } = await bothWays(disk, answers);
      expect(ahead).toEqual(read);
      seen.cases += 1;
      seen.vouched += answers.vouched;
      seen.asked += answers.asked;
      if (read.account.findings.length > 0) seen.wrong += 1;
      const clean = steps.length === 0 && how.gapAt === undefined && how.lie === undefined;
      if (clean) expect(answers.vouched).toBe(CLOSED);
    }),
    { seed: SEED, numRuns: 1500, endOnFailure: false },
  );
  console.log(`looked ahead: ${JSON.stringify(seen)}`);
  expect(seen.vouched).toBeGreaterThan(seen.asked / 3);
  expect(seen.wrong).toBeGreaterThan(seen.cases / 3);
});

/** The damage in the middle of the second segment of a store, as a check finds it by the word of such threads. */
async function findingsBy(start: (env: Env) => () => Thread): Promise<readonly string[]> {
  const { disk, files } = await storeOf(HEALTHY, "x");
  const name = [...files.keys()][1] as string;
  await put(disk, name, damaged(files.get(name)!, "flip", 0.5, 0, Buffer.alloc(0)));
  const backend = fileBackend({ path: "/s" }, { ...disk.env, startThread: start(disk.env) });
  const view = await backend.view();
  const closed = view.segments.filter(({ log, active }) => log === "events" && !active);
  const asked = closed.map((one) => [one, encodeIdentity(identityOf(view, "events", one)!)] as const);
  const ahead = (backend as Required<Backend>).lookAhead(asked, 2);
  const { account } = await checkLog(backend, view, "events", { ...OPTIONS, ahead });
  await ahead.end();
  return account.findings.map(({ file }) => file);
}

const nothing = async (): Promise<void> => undefined;

test.each<[string, (env: Env) => () => Thread]>([
  ["is about another seal", () => () => ({ ask: async () => ({ digest: "0".repeat(64), durable: 0 }), end: nothing })],
  ["fails", () => () => ({ ask: () => Promise.reject(new Error("out of memory")), end: nothing })],
  [
    "cannot be started",
    () => () => {
      throw new Error("no threads are allowed");
    },
  ],
])("damage is found where the word of a thread %s", async (_, start) => {
  expect(await findingsBy(start)).toEqual([closedName("events", PER_SEGMENT + 1)]);
});

test("one thread that fails leaves its work to the others, and who was not asked about is not known", async () => {
  const question = (id: string): WholeQuestion => ({
    directory: "",
    name: "",
    id,
    bytes: 0,
    firstSeq: 1,
    identity: "",
  });
  const broken: Thread = { ask: () => Promise.reject(new Error("broken")), end: nothing };
  const sound: Thread = { ask: async (asked) => ({ digest: (asked as WholeQuestion).id, durable: 0 }), end: nothing };
  const threads = [broken, sound];
  const ahead = new ThreadedLookAhead(() => threads.shift()!, 2, ["a", "b", "c"].map(question));
  expect(await Promise.all(["a", "b", "c", "d"].map((id) => ahead.of(id)))).toEqual([
    undefined,
    { digest: "b", durable: 0 },
    { digest: "c", durable: 0 },
    undefined,
  ]);
  await ahead.end();
});
