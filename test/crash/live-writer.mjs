// A writing process (writer.mjs) as its parent sees it, for programs that take its disk away.
import { spawn, spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

const PROGRAM = fileURLToPath(new URL("writer.mjs", import.meta.url));

/** Runs a program to its end, which must be a good one. */
export function run(program, ...args) {
  const { status, stderr, error } = spawnSync(program, args, { encoding: "utf8" });
  if (status !== 0) throw new Error(`${program} ${args.join(" ")}: ${stderr || error}`);
}

/** It outlives the faults, so that each costs a fraction of a process's start; kill-9.test.ts kills. */
export class LiveWriter {
  #heard = "";
  #onText = () => undefined;

  constructor(args, program = PROGRAM) {
    this.child = spawn(process.execPath, [program, ...args], { stdio: ["pipe", "pipe", "inherit"] });
    this.closed = new Promise((resolve) => this.child.on("close", resolve));
    void this.closed.then(() => this.#onText());
    this.child.stdout.setEncoding("utf8").on("data", (text) => {
      this.#heard += text;
      this.#onText();
    });
  }

  /** Resolves when it has said a word so many times. */
  async until(word, times = 1) {
    while (this.#heard.split(word).length <= times) {
      if (this.child.exitCode !== null) throw new Error(`the writer ended with ${this.child.exitCode}: ${this.#heard}`);
      await new Promise((resolve) => void (this.#onText = resolve));
    }
  }

  /** The whole lines that it has said since it last failed. */
  lines() {
    return this.#heard.slice(0, this.#heard.lastIndexOf("\n")).split("\n");
  }

  /** What it has acknowledged since it last failed: log, seq, and the number in the payload. */
  acknowledged() {
    return this.lines()
      .filter((line) => line.startsWith("ack "))
      .map((line) => line.split(" "))
      .map(([, log, seq, n]) => ({ log, seq: Number(seq), n: Number(n) }));
  }

  /** Every one of its appends must have failed, and one more be refused. Resolves with what it says of the reason. */
  async untilFailed() {
    await this.until("refused ");
    const [, reason] = /^failed (.*)$/m.exec(this.#heard);
    if (!/^refused STORE_POISONED$/m.test(this.#heard)) throw new Error(`accepted after a failure: ${this.#heard}`);
    this.#heard = "";
    return JSON.parse(reason);
  }

  /** Lets it open the store again. */
  goOn() {
    this.child.stdin.write("again\n");
  }

  async end() {
    this.child.stdin.end();
    this.child.kill("SIGKILL");
    await this.closed;
  }
}
