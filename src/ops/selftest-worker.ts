// What a process does that the self-test starts: it holds a store, tries to, or writes to it until it is killed.
import type { Claim } from "../backends/backend.ts";
import { fileBackend } from "../backends/files.ts";
import { openStore } from "../backends/open.ts";
import type { Env } from "../env/env.ts";
import { isPapyraError, PapyraError } from "../errors.ts";
import { eventOf } from "./selftest-store.ts";

/** The first argument of the process; the others are the path of the store and, for "write", a seed and the bytes of a segment. */
export const WORKER_TASKS = ["hold", "try", "write"] as const;
export type WorkerTask = (typeof WORKER_TASKS)[number];

/** Then a writer waits to be killed: the rounds must not fill the disk. */
const BYTES_MAX = 16 << 20;
const TEXT_MAX = 20_000;
const WRITERS = 4;

/** Node closes a file that nobody refers to any more, and its lock goes with it. */
const HELD: Claim[] = [];

/** `print` takes one line, and has handed it to the system when it returns. */
export async function runWorker(env: Env, args: readonly string[], print: (line: string) => void): Promise<void> {
  const [task, path = "", seed = "1", segmentBytes = ""] = args;
  const options = segmentBytes === "" ? { path } : { path, segmentBytes: Number(segmentBytes) };
  const backend = fileBackend(options, env);
  if (task === "write") return writeForever(backend, Number(seed), print);
  if (task !== "hold" && task !== "try")
    throw new PapyraError("OPTION_INVALID", `a worker of the self-test does ${WORKER_TASKS.join(", ")}, not ${task}`);
  try {
    const claim = await backend.claim("selftest");
    if (task === "hold") HELD.push(claim);
    print("held");
    if (task === "try") await claim.release();
  } catch (error) {
    if (!isPapyraError(error, "STORE_LOCKED")) throw error;
    print("refused");
  }
}

/** Several appends at once, of one to four records of every size; each record is announced when it is acknowledged. */
async function writeForever(
  backend: ReturnType<typeof fileBackend>,
  seed: number,
  print: (line: string) => void,
): Promise<void> {
  let state = seed >>> 0;
  const random = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  const store = await openStore(backend);
  let n = seed * 1_000_000; // no two writers of a store write the same
  const write = async (): Promise<void> => {
    while (store.stats().bytes < BYTES_MAX) {
      const first = n + 1;
      const count = 1 + Math.floor(random() * 4);
      n += count;
      const records = Array.from({ length: count }, (_, i) =>
        eventOf(first + i, "x".repeat(Math.floor(random() ** 4 * TEXT_MAX))),
      );
      const { firstSeq } = await store.append("events", records);
      for (let i = 0; i < count; i++) print(`ack ${firstSeq + i} ${first + i}`);
    }
  };
  await Promise.all(Array.from({ length: WRITERS }, write));
}
