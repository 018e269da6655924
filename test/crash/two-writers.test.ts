// Two processes want to write to one store. The second is refused while the first lives, also while it is stopped; when the
// first has been robbed of its lock file and goes on, it cannot write one more line.
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, test } from "vitest";
import { fileStore, openStore, type PapyraError } from "../../src/index.ts";
import { scan } from "../../src/ops/scan.ts";
import { untilStopped } from "../until-stopped.ts";

const PROGRAM = fileURLToPath(new URL("append-on-demand.mjs", import.meta.url));
let path = "";
let children: Writer[] = [];

beforeEach(() => {
  path = mkdtempSync(join(tmpdir(), "papyra-two-"));
  children = [];
});
afterEach(async () => {
  for (const child of children) await child.end("SIGKILL");
  rmSync(path, { recursive: true, force: true });
});

/** A writing process, and what it says. */
class Writer {
  readonly child: ChildProcess;
  readonly #lines: string[] = [];
  #wake: () => void = () => undefined;
  readonly #closed: Promise<unknown>;

  constructor() {
    this.child = spawn(process.execPath, [PROGRAM, path], { stdio: ["pipe", "pipe", "inherit"] });
    this.#closed = new Promise((resolve) => this.child.on("close", resolve));
    this.child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      this.#lines.push(...text.split("\n").filter((line) => line !== ""));
      this.#wake();
    });
    children.push(this);
  }

  async said(): Promise<string> {
    while (this.#lines.length === 0) await new Promise<void>((resolve) => void (this.#wake = resolve));
    return this.#lines.shift() as string;
  }

  async append(text: string): Promise<string> {
    this.child.stdin?.write(`${text}\n`);
    return this.said();
  }

  async end(signal: NodeJS.Signals): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    this.child.kill(signal);
    await this.#closed;
  }
}

const refusal = async (): Promise<PapyraError> =>
  openStore(fileStore({ path })).then(
    async (store) => {
      await store.close();
      throw new Error("a second writer was let in");
    },
    (error: PapyraError) => error,
  );

test("a second writer is refused with pid, host and since when, and let in when the first is killed", async () => {
  const started = Date.now();
  const first = new Writer();
  expect(await first.said()).toBe("open");
  const { pid } = first.child;
  const expected = { code: "STORE_LOCKED", details: { pid, host: hostname(), purpose: "writing" } };
  const refused = await refusal();
  expect(refused).toMatchObject(expected);
  expect(Math.abs(Number(refused.details.sinceMs) - started)).toBeLessThan(60_000);
  expect(refused.message).toContain(`pid ${pid} on ${hostname()} since 20`);

  first.child.kill("SIGSTOP");
  await untilStopped(pid as number);
  expect(await refusal(), "a stopped holder still holds").toMatchObject(expected);
  first.child.kill("SIGCONT");
  expect(await first.append("goes on")).toBe("ack 1");

  await first.end("SIGKILL");
  const store = await openStore(fileStore({ path }));
  expect(store.lastSeq("events")).toBe(1);
  await store.close();
});

test("a stopped writer whose lock file was taken away does not write one more line when it goes on", async () => {
  const first = new Writer();
  expect(await first.said()).toBe("open");
  expect(await first.append("one")).toBe("ack 1");
  first.child.kill("SIGSTOP");
  await untilStopped(first.child.pid as number);
  rmSync(join(path, "papyra.lock")); // what the documents say that nobody may do
  const second = new Writer();
  expect(await second.said()).toBe("open");
  expect(await second.append("two")).toBe("ack 2");

  const content = (): Map<string, string> =>
    new Map(
      readdirSync(path)
        .filter((name) => statSync(join(path, name)).isFile())
        .map((name) => [name, readFileSync(join(path, name), "latin1")]),
    );
  const before = content();
  first.child.kill("SIGCONT");
  const said = await first.append("three");
  expect(said).toMatch(/^OUTCOME_UNKNOWN STORAGE_FAILED .*papyra\.lock was removed or replaced under its holder/);
  expect(await first.append("four")).toMatch(/^STORE_POISONED /);
  expect(content(), "not one byte was written").toEqual(before);

  expect(await second.append("five")).toBe("ack 3");
  await first.end("SIGKILL");
  await second.end("SIGKILL");
  const report = await scan(fileStore({ path }));
  expect(report.anomalies).toEqual([]);
  expect(report.logs.find(({ log }) => log === "events")?.records).toBe(3);
});
