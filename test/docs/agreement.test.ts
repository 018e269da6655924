// Two readers that share no code, the Python one of docs/format.md and the scanner, over thousands of damaged logs: they
// agree which logs are damaged and which lines of which file are whole. PAPYRA_SEED and PAPYRA_CASES explore further.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { checkLog } from "../../src/backends/check.ts";
import { type MemoryBackend, memoryBackend } from "../../src/backends/memory.ts";
import { openStore } from "../../src/backends/open.ts";
import { encodeIdentity } from "../../src/log/codec.ts";
import { linesOf } from "../../src/log/lines.ts";
import { type Identity, LOG_NAMES, type LogName } from "../../src/log/record.ts";
import { activeName, closedName } from "../../src/log/segments.ts";
import { SimDisk } from "../../src/testing/sim-disk.ts";
import { type Dice, diceOf, mutate, MUTATIONS } from "./mutations.ts";
import { blockOf, run } from "./page.ts";
import { buildLog, type Step } from "./sealed-log.ts";

const SEED = Number(process.env.PAPYRA_SEED ?? 20_260_101);
const CASES = Number(process.env.PAPYRA_CASES ?? 10_000);

/** What a reader says: whether anything is wrong, and the seqs of the lines that verify, file by file, in their order. */
interface Verdict {
  readonly damaged: boolean | string;
  readonly seqs: readonly (readonly number[])[];
}

/** One log a line on stdin, its verdict on stdout. Lines that were glued to other bytes are searched for byte by byte. */
const DRIVER = `
import base64, io, json, re, sys, zlib
sys.path.insert(0, sys.argv[1])
import check_log
check_log.open = lambda data, mode: io.BytesIO(data)
END = re.compile(rb',"crc":"([0-9a-f]{8})"}')

def whole(line, head):
    at, seed = 0, zlib.crc32(head)
    while at < len(line):
        if line.startswith(b'{"seq":', at) or line.startswith(b'{"kind":"seal",', at):
            end = next((m for m in END.finditer(line, at) if zlib.crc32(line[at:m.start()], seed) == int(m[1], 16)), None)
            if end:
                if line.startswith(b'{"seq":', at) and check_log.is_sound(json.loads(line[at:end.end()])):
                    yield json.loads(line[at:end.end()])["seq"]
                at = end.end()
                continue
        at += 1

for text in sys.stdin:
    head, *files = map(base64.b64decode, json.loads(text))
    try:
        damaged = bool(check_log.check(files)[2]) or not files[0].startswith(head)
    except Exception as error:
        damaged = repr(error)
    print(json.dumps([damaged, [[seq for line in io.BytesIO(file) for seq in whole(line, head)] for file in files]]))
`;

function python(cases: readonly { readonly identity: Identity; readonly files: readonly Buffer[] }[]): Verdict[] {
  const dir = mkdtempSync(join(tmpdir(), "papyra-agreement-"));
  try {
    writeFileSync(join(dir, "check_log.py"), blockOf("python"));
    const input = cases.map(({ identity, files }) =>
      JSON.stringify([Buffer.from(encodeIdentity(identity)), ...files].map((bytes) => bytes.toString("base64"))),
    );
    const { status, output } = run("python3", ["-c", DRIVER, dir], input.join("\n"));
    expect(status, output.slice(-2000)).toBe(0);
    const lines = output.trim().split("\n");
    return lines.map((line) => {
      const [damaged, seqs] = JSON.parse(line) as [boolean, number[][]];
      return { damaged, seqs };
    });
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

/** The scanner, over a store that holds these files and of which nothing else is known. */
async function papyra(backend: MemoryBackend, log: LogName, files: readonly Buffer[]): Promise<Verdict> {
  const names = files.map((_, i) => (i === files.length - 1 ? activeName(log) : closedName(log, i + 1)));
  for (const segment of (await backend.view()).segments) {
    if (segment.log === log && !segment.active) backend.putSegment(segment.name, undefined);
  }
  for (const [i, bytes] of files.entries()) backend.putSegment(names[i] as string, bytes);
  const seqs = files.map(() => [] as number[]);
  const view = { ...(await backend.view()), reach: () => undefined };
  const { account } = await checkLog(backend, view, log, {
    live: false,
    findingsMax: 10,
    hashSealed: true,
    onEntry(entry, { name }) {
      if (entry.type !== "run" && entry.type !== "gap") return;
      for (const line of linesOf(entry)) {
        seqs[names.indexOf(name)]?.push(Number(/^\{"seq":(\d+),/.exec(line.toString("latin1"))?.[1]));
      }
    },
  });
  return { damaged: Object.keys(account.counts).length > 0, seqs };
}

/** Two to five segments of one to six lines; now and then seqs are missing that a gap record further on accounts for. */
function shape(dice: Dice): Step[][] {
  let [seq, owed] = [0, undefined as readonly [number, number] | undefined];
  const segments = Array.from({ length: 2 + dice(4) }, () =>
    Array.from({ length: 1 + dice(6) }, (): Step => {
      seq += 1;
      if (owed !== undefined && dice(4) === 0) {
        const gap = owed;
        owed = undefined;
        return { seq, gap };
      }
      if (owed === undefined && dice(8) === 0) {
        owed = [seq, seq + dice(3)];
        seq = owed[1] + 1;
      }
      return { seq };
    }),
  );
  if (owed !== undefined) segments.at(-1)?.push({ seq: seq + 1, gap: owed });
  return segments;
}

test(`two readers agree on ${CASES} damaged logs (seed ${SEED})`, async () => {
  const dice = diceOf(SEED);
  const backend = memoryBackend({}, new SimDisk({ seed: SEED }).env);
  const store = await openStore(backend);
  await store.close();
  const logs = Array.from({ length: 60 }, (_, i) => {
    const log = LOG_NAMES[i % LOG_NAMES.length] as LogName;
    const identity: Identity = { log, store: store.identity.store, lineage: store.identity.lineage };
    const others = [
      { ...identity, log: LOG_NAMES[(i + 1) % LOG_NAMES.length] as LogName },
      { ...identity, store: "x" },
      { ...identity, lineage: "b2" },
    ];
    const segments = shape(dice);
    return { identity, files: buildLog(identity, segments), foreign: others.flatMap((one) => buildLog(one, segments)) };
  });
  const cases = Array.from({ length: CASES }, (_, n) => {
    const { identity, files, foreign } = logs[n % logs.length] as (typeof logs)[number];
    return { identity, ...mutate([...files], dice, foreign) };
  });
  const theirs = python(cases);
  expect(theirs).toHaveLength(CASES);
  const differing: string[] = [];
  for (const [n, { identity, files, names }] of cases.entries()) {
    const ours = await papyra(backend, identity.log, files);
    const [a, b] = [JSON.stringify(ours), JSON.stringify(theirs[n])];
    if (a !== b) differing.push(`case ${n} of seed ${SEED} (${names.join(", ")}):\n  ours   ${a}\n  theirs ${b}`);
  }
  expect(differing.slice(0, 10).join("\n"), `${differing.length} of ${CASES} differ`).toBe("");
  const damaged = theirs.filter((verdict) => verdict.damaged).length;
  const kinds = new Set(cases.flatMap(({ names }) => names)).size;
  console.log(
    `two readers agree on ${CASES} logs, ${damaged} of them damaged, ${kinds} kinds of damage (seed ${SEED})`,
  );
  expect(kinds).toBe(Object.keys(MUTATIONS).length);
  expect(damaged).toBeGreaterThan(CASES / 2);
  expect(damaged).toBeLessThan(CASES);
});
