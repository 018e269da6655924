// Real processes, the real disk, SIGKILL at random moments: a ledger outside the store holds every acknowledgement that
// the writer announced, and none may be missing afterwards. The store is opened again by the next round's process.
import { spawn } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { fileStore, openStore } from "../../src/index.ts";
import { startupCheck } from "../../src/ops/startup.ts";

const ROUNDS = Number(process.env.PAPYRA_KILL_ROUNDS ?? 100);
const SEED = Number(process.env.PAPYRA_KILL_SEED ?? 7);
const WRITER = fileURLToPath(new URL("writer.mjs", import.meta.url));

let state = SEED;
function random(): number {
  state = (Math.imul(state, 1103515245) + 12345) >>> 0;
  return state / 2 ** 32;
}

/** Runs a writer, kills it after it has acknowledged for a while, and returns what it announced. */
async function round(
  path: string,
  seed: number,
  segmentBytes: string,
): Promise<{ log: "events" | "journal"; seq: number; n: number }[]> {
  const child = spawn(process.execPath, [WRITER, path, String(seed), segmentBytes], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let text = "";
  let timer: NodeJS.Timeout | undefined;
  const closed = new Promise<string | null>((resolve) => child.on("close", (_code, signal) => resolve(signal)));
  child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
    text += chunk;
    if (text.includes("ack ")) timer ??= setTimeout(() => child.kill("SIGKILL"), random() * 60);
  });
  const signal = await closed;
  expect(signal, `the writer must die by our hand, not by ${text.slice(-200)}`).toBe("SIGKILL");
  const lines = text.split("\n");
  return lines
    .filter((line) => line.startsWith("ack "))
    .map((line) => {
      const [, log, seq, n] = line.split(" ");
      return { log: log as "events" | "journal", seq: Number(seq), n: Number(n) };
    });
}

test(`kill -9, ${ROUNDS} rounds: nothing that was acknowledged is lost, and every seq is accounted for`, async () => {
  let path = mkdtempSync(join(tmpdir(), "papyra-kill-"));
  const places = [path];
  let ledger = { events: new Map<number, number>(), journal: new Map<number, number>() };
  let acknowledged = 0;
  let torn = 0;
  let sealed = 0;
  let segmentBytes = ""; // every second store rotates
  for (let i = 1; i <= ROUNDS; i++) {
    for (const { log, seq, n } of await round(path, SEED * 1000 + i, segmentBytes)) {
      expect(ledger[log].has(seq), `round ${i}: ${log} seq ${seq} was acknowledged twice`).toBe(false);
      ledger[log].set(seq, n);
      acknowledged += 1;
    }
    const check = await startupCheck(fileStore({ path }), { mode: "fail_on_anomaly" });
    expect(check.ok, `round ${i}: ${check.verdict}`).toBe(true);
    torn += check.scan?.counts["torn-tail"] ?? 0;
    for (const report of check.scan?.logs ?? []) {
      expect(report.missing, `round ${i}: ${report.log}`).toBe(0);
      expect(report.records, `round ${i}: ${report.log} has every seq`).toBe(report.lastSeq);
    }
    if (i % 10 === 0 || i === ROUNDS) {
      await compare(path, ledger, i);
      sealed += readdirSync(path).filter((name) => /\.\d{20}\.ndjson$/.test(name)).length;
      segmentBytes = segmentBytes === "" ? "60000" : "";
      path = mkdtempSync(join(tmpdir(), "papyra-kill-")); // a growing store would make the check the whole work
      places.push(path);
      ledger = { events: new Map(), journal: new Map() };
    }
  }
  console.log(
    `kill -9: ${ROUNDS} rounds, ${acknowledged} acknowledged records, 0 lost, ${torn} torn tails and ${sealed} closed segments seen (seed ${SEED})`,
  );
  if (ROUNDS >= 20) expect(sealed).toBeGreaterThan(10);
  for (const place of places) rmSync(place, { recursive: true, force: true });
});

async function compare(
  path: string,
  ledger: Record<"events" | "journal", Map<number, number>>,
  i: number,
): Promise<void> {
  const store = await openStore(fileStore({ path }));
  for (const log of ["events", "journal"] as const) {
    const present = new Map<number, number>();
    for await (const record of store.read(log))
      present.set(record.seq, (record as { payload: { n: number } }).payload.n);
    for (const [seq, n] of ledger[log]) expect(present.get(seq), `round ${i}: ${log} seq ${seq}`).toBe(n);
  }
  await store.close();
}
