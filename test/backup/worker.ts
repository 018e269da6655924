// Starts workers: real processes that work on a repository.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { S3ObjectsOptions } from "../../src/s3/index.ts";

const SCRIPT = fileURLToPath(new URL("worker.mjs", import.meta.url));

export interface Said {
  readonly done?: unknown;
  readonly code?: string;
  readonly message?: string;
}

export class Worker {
  readonly child: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  private constructor(root: string, place: { directory: string } | { s3: S3ObjectsOptions }) {
    this.child = spawn(process.execPath, ["--no-warnings", SCRIPT, root, JSON.stringify(place)], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    this.child.stdin?.on("error", () => undefined); // it was killed
    this.#lines = createInterface({ input: this.child.stdout! })[Symbol.asyncIterator]();
  }

  static async start(root: string, place: { directory: string } | { s3: S3ObjectsOptions }): Promise<Worker> {
    const worker = new Worker(root, place);
    await worker.said();
    return worker;
  }

  async said(): Promise<Said> {
    const { value, done } = await this.#lines.next();
    return done === true ? {} : (JSON.parse(value) as Said);
  }

  tell(work: string, args: object = {}): void {
    this.child.stdin?.write(`${JSON.stringify({ work, ...args })}\n`);
  }

  ask(work: string, args: object = {}): Promise<Said> {
    this.tell(work, args);
    return this.said();
  }

  /** kill -9; resolves with what it still had said. */
  async kill(): Promise<Said[]> {
    this.child.kill("SIGKILL");
    const rest: Said[] = [];
    for (let said = await this.said(); "done" in said || "code" in said; said = await this.said()) rest.push(said);
    if (this.child.exitCode === null && this.child.signalCode === null) await once(this.child, "exit");
    return rest;
  }

  /** Its work is over: it has to end by itself. Resolves with its exit code. */
  async end(): Promise<number | null> {
    this.child.stdin?.end();
    if (this.child.exitCode === null) await once(this.child, "exit");
    return this.child.exitCode;
  }
}
