// Builds shim.c, and is the hand that gives it orders: a process started with `env` obeys them while it runs. Its counts
// survive the process, so that a test can demand that the fault fired.
import { spawnSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, readSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const SOURCE = fileURLToPath(new URL("shim.c", import.meta.url));
const FIELDS = ["calls", "from", "to", "action", "value", "operations", "fired", "frozenMs", "offsetMs"];
const ACTIONS = ["fail", "short", "tear", "flip", "lie", "kill", "killAfter"];
const OPERATIONS = ["open", "read", "write", "sync", "syncDir", "rename", "unlink", "truncate", "mkdir"];
/** Those that change something or make it durable. An open may do so, too. */
export const ACTING = OPERATIONS.filter((name) => name !== "read");
export const ERRNO = { EINTR: 4, EIO: 5, ENOSPC: 28, EMFILE: 24, EROFS: 30, EDQUOT: 122 };

/** What is missing here to build it, or undefined. */
export function shimObstacle() {
  if (process.platform !== "linux") return "it needs Linux";
  return spawnSync("gcc", ["--version"]).status === 0 ? undefined : "missing program: gcc";
}

/** The library, in a directory of its own. */
export function buildShim() {
  const dir = mkdtempSync(join(tmpdir(), "papyra-shim-"));
  const library = join(dir, "shim.so");
  const args = ["-shared", "-fPIC", "-O2", "-Wall", "-Werror", "-o", library, SOURCE, "-ldl"];
  const { status, stderr } = spawnSync("gcc", args, { encoding: "utf8" });
  if (status !== 0) throw new Error(`the shim does not compile:\n${stderr}`);
  return { library, remove: () => rmSync(dir, { recursive: true, force: true }) };
}

/** Orders for the processes that work below one directory; its path must be the real one. */
export class Shim {
  #file;
  #fd;

  /** Of the process that calls it, which was started with the `env` of another one. */
  static ofThisProcess() {
    const { LD_PRELOAD, PAPYRA_SHIM, PAPYRA_SHIM_ROOT } = process.env;
    return new Shim(LD_PRELOAD, PAPYRA_SHIM_ROOT, PAPYRA_SHIM);
  }

  constructor(library, root, file) {
    this.#file = file ?? join(mkdtempSync(join(tmpdir(), "papyra-orders-")), "orders");
    if (file === undefined) writeFileSync(this.#file, Buffer.alloc(8 * FIELDS.length));
    this.#fd = openSync(this.#file, "r+");
    // One thread for file calls: they are counted in the order in which they were asked for.
    const threads = { UV_THREADPOOL_SIZE: "1", UV_USE_IO_URING: "0" };
    this.env = { ...process.env, ...threads, LD_PRELOAD: library, PAPYRA_SHIM: this.#file, PAPYRA_SHIM_ROOT: root };
  }

  /** From now on: the calls `from` to `to` of these operations are hit; without a `from` they are only counted. */
  order({ from = 0, to = from, action = "fail", value = 0, operations = ACTING } = {}) {
    const bits = operations.reduce((sum, name) => sum | (1 << OPERATIONS.indexOf(name)), 0);
    this.#put("from", 0); // nothing is hit by half an order
    this.#put("calls", 0);
    this.#put("fired", 0);
    this.#put("to", Number.isFinite(to) ? to : 2 ** 50);
    this.#put("action", 1 + ACTIONS.indexOf(action));
    this.#put("value", value);
    this.#put("operations", bits);
    this.#put("from", from);
  }

  /** The wall clock from now on. */
  clock({ frozenMs = 0, offsetMs = 0 } = {}) {
    this.#put("frozenMs", frozenMs);
    this.#put("offsetMs", offsetMs);
  }

  get calls() {
    return this.#get("calls");
  }

  get fired() {
    return this.#get("fired");
  }

  remove() {
    closeSync(this.#fd);
    rmSync(dirname(this.#file), { recursive: true, force: true });
  }

  #put(field, value) {
    const bytes = Buffer.alloc(8);
    bytes.writeBigInt64LE(BigInt(value));
    writeSync(this.#fd, bytes, 0, 8, 8 * FIELDS.indexOf(field));
  }

  #get(field) {
    const bytes = Buffer.alloc(8);
    readSync(this.#fd, bytes, 0, 8, 8 * FIELDS.indexOf(field));
    return Number(bytes.readBigInt64LE());
  }
}
