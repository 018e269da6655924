// A disk in memory that fails and loses power on purpose, to be handed to Papyra as its world. Everything that was not synced
// is in a cache: `reboot` takes some of it away, `kill` keeps it. Every call is counted, so a test can run its work once
// and then again with a fault at each call. The same seed and the same calls give the same bytes.
// It does not simulate time: calls complete in a microtask, and the clock moves only by hand.
import type { Env } from "../env/env.ts";
import { ManualClock } from "./manual-clock.ts";
import {
  FaultPlan,
  type Orders,
  PowerCut,
  ProcessKilled,
  type SimCall,
  SimErrno,
  type SimFault,
  type SimOperation,
  simulatedError,
} from "./sim-calls.ts";
import { createSimFs, nodeAt, partsOf, type SimMachine } from "./sim-fs.ts";
import { SharedBytes, SimDir, SimFile } from "./sim-inode.ts";
import { seededNumbers, type Survival, survivingTree } from "./sim-survival.ts";

export { PowerCut, ProcessKilled, type SimCall, type SimFault, type SimOperation } from "./sim-calls.ts";
export type { Survival } from "./sim-survival.ts";

/** How to make a simulated disk. */
export interface SimDiskOptions {
  /** Decides the random names; disks with different seeds have files of different ids. Default 1. */
  readonly seed?: number;
  /** Where the wall clock starts. */
  readonly startMs?: number;
}

/** What a disk hands to the one that follows it. */
interface Heritage {
  readonly root: SimDir;
  readonly nodes: number;
  readonly boot: number;
  readonly process: number;
  readonly freeBytes: number;
  readonly clock: ManualClock;
}

/** A simulated disk with the process that uses it; after `reboot` or `kill` the new disk takes its place. */
export class SimDisk {
  /** The world to hand to the code under test. */
  readonly env: Env;
  readonly clock: ManualClock;
  /** Every call so far, in the order they were made. */
  readonly trace: SimCall[] = [];
  /** How many calls changed a file or a name. */
  mutations = 0;
  /**
   * When set, awaited in every call between its start and its effect: lets a test hold one call back while others run, or
   * look at each step. The disks that follow this one start without it.
   */
  pause: ((call: SimCall) => Promise<void> | void) | undefined;
  readonly #options: SimDiskOptions;
  readonly #root: SimDir;
  readonly #boot: number;
  readonly #process: number;
  readonly #usage: SimMachine["usage"];
  #nodes: number;
  readonly #plan = new FaultPlan();
  #stopped: Error | undefined;

  /** `heritage` is what a disk passes on when it is rebooted; leave it out. */
  constructor(options: SimDiskOptions = {}, heritage?: Heritage) {
    this.#options = options;
    this.#root = heritage?.root ?? new SimDir(1, 0);
    this.#nodes = heritage?.nodes ?? 1;
    this.#boot = heritage?.boot ?? 1;
    this.#process = heritage?.process ?? 1;
    this.#usage = { freeBytes: heritage?.freeBytes ?? Number.POSITIVE_INFINITY, openFiles: 0 };
    this.clock = heritage?.clock ?? new ManualClock(options.startMs);
    const seed = options.seed ?? 1;
    const random = seededNumbers(seed * 1009 + this.#process); // every process draws other names
    this.env = {
      fs: this.#createFs(seed),
      clock: this.clock,
      random: {
        hex: (bytes) => Buffer.from(Array.from({ length: bytes }, () => Math.floor(random() * 256))).toString("hex"),
      },
      host: { pid: 1000 + this.#process, name: "sim", bootId: `sim-boot-${this.#boot}` },
    };
  }

  #createFs(seed: number): Env["fs"] {
    const machine: SimMachine = {
      root: this.#root,
      usage: this.#usage,
      nowMs: () => this.clock.nowMs(),
      newNumber: () => ++this.#nodes,
      idOf: (node) => `sim-${seed}:${node.number}`,
      call: (operation, path, finish, begin) => this.#call(operation, path, finish, begin),
    };
    return createSimFs(machine);
  }

  /** How many calls were made so far. */
  get calls(): number {
    return this.trace.length;
  }

  /** How many calls a planned fault has hit; assert it, or the test may have proved nothing. */
  get faultsHit(): number {
    return this.#plan.hits;
  }

  /** How many files are open; 0 after a test proves that nothing leaks. */
  get openFiles(): number {
    return this.#usage.openFiles;
  }

  /**
   * Bytes by which files may still grow, without limit at first: set it to fill the disk or to give space back. A write
   * that does not fit comes short, the next fails with ENOSPC; removing a file frees its bytes.
   */
  get freeBytes(): number {
    return this.#usage.freeBytes;
  }

  set freeBytes(bytes: number) {
    this.#usage.freeBytes = bytes;
  }

  /** Whether the power is gone. */
  get powerCut(): boolean {
    return this.#stopped instanceof PowerCut;
  }

  /** Whether the process was killed. */
  get killed(): boolean {
    return this.#stopped instanceof ProcessKilled;
  }

  /**
   * Makes the n-th call from now (1 is the next one) fail without effect; a sticky fault fails every call from then on.
   * With `operations`, only calls of these are counted and hit.
   */
  failAt(n: number, fault: SimFault, more: { sticky?: boolean; operations?: readonly SimOperation[] } = {}): void {
    this.#plan.add(n, more.operations, { fail: fault }, more.sticky);
  }

  /** Makes the n-th write from now take at most `bytes` bytes. */
  shortWriteAt(n: number, bytes: number): void {
    this.#plan.add(n, ["write"], { bytesMost: bytes });
  }

  /**
   * Makes the n-th sync of a file from now fail with EIO and lose what it was to make durable: it can still be read, and
   * the next sync succeeds, but a power cut takes it. Linux does this after a failed write-back.
   */
  forgetAtSync(n: number): void {
    this.#plan.add(n, ["sync"], { forget: true });
  }

  /** Makes the power go at the n-th call from now: that call and all later ones reject with PowerCut and do nothing. */
  cutPowerAt(n: number): void {
    this.#plan.add(n, undefined, { stop: new PowerCut() });
  }

  /** Makes the process die at the n-th call from now: that call and all later ones reject with ProcessKilled. */
  killAt(n: number): void {
    this.#plan.add(n, undefined, { stop: new ProcessKilled() });
  }

  /** Forgets every planned and sticky fault. */
  clearFaults(): void {
    this.#plan.clear();
  }

  /** Cuts the power and starts the machine again: a new disk that holds what survived; this one is dead. */
  reboot(seed: number, survival: Survival = "mixed"): SimDisk {
    this.#stopped ??= new PowerCut();
    return this.afterReboot(seed, survival);
  }

  /** The disk that a reboot would give, while this one goes on. */
  afterReboot(seed: number, survival: Survival = "mixed"): SimDisk {
    const root = survivingTree(this.#root, survival, seed);
    const lost = Number.isFinite(this.freeBytes) ? bytesBelow(this.#root) - bytesBelow(root) : 0;
    const clock = new ManualClock(this.clock.nowMs());
    return this.#successor({ root, clock, boot: this.#boot + 1, freeBytes: this.freeBytes + lost });
  }

  /** Kills the process while the machine lives on: a new disk with the whole cache and no locks; this one is dead. */
  kill(): SimDisk {
    if (this.powerCut) throw new Error("the power is gone: the cache cannot be kept, use reboot()");
    this.#stopped ??= new ProcessKilled();
    return this.afterKill();
  }

  /** The disk that a kill would give, while this one goes on. */
  afterKill(): SimDisk {
    const clock = new ManualClock(this.clock.nowMs(), this.clock.monotonicMs());
    return this.#successor({ root: this.#root.copy(), clock, boot: this.#boot, freeBytes: this.freeBytes });
  }

  /** The content of a file as a process sees it, synced or not. */
  content(path: string): Buffer {
    return this.#file(path).bytes.copy();
  }

  /** Every file with its content as a process sees it, by path, sorted. */
  tree(): Map<string, Buffer> {
    const found: [string, Buffer][] = [];
    const visit = (dir: SimDir, prefix: string): void => {
      for (const [name, node] of dir.entries) {
        if (node instanceof SimDir) visit(node, `${prefix}${name}/`);
        else found.push([prefix + name, node.bytes.copy()]);
      }
    };
    visit(this.#root, "/");
    return new Map(found.sort(([a], [b]) => (a < b ? -1 : 1)));
  }

  /** Puts a new file in place, durably and with its directories; what was pending in these becomes durable too. */
  put(path: string, bytes: Uint8Array | string): void {
    const parts = partsOf(path);
    const name = parts.at(-1);
    if (name === undefined) throw new Error(`${path} is not the path of a file`);
    let dir = this.#root;
    for (const part of parts.slice(0, -1)) {
      const below = dir.entries.get(part) ?? new SimDir(++this.#nodes, this.clock.nowMs());
      if (!(below instanceof SimDir)) throw new Error(`${part} in ${path} is a file`);
      dir.settle(part, below);
      dir = below;
    }
    dir.settle(name, new SimFile(++this.#nodes, this.clock.nowMs(), new SharedBytes(Buffer.from(bytes as Uint8Array))));
  }

  /** Damages a file in place and durably, without touching its id or its times, as a failing medium does. */
  corrupt(path: string, change: (content: Buffer) => Uint8Array): void {
    const file = this.#file(path);
    file.take(file.mark());
    file.durable = new SharedBytes(Buffer.from(change(file.bytes.copy())));
    file.bytes = file.durable.share();
  }

  /** Takes a file away durably, as a mistaken `rm` long ago would have. */
  drop(path: string): void {
    this.#file(path);
    const parts = partsOf(path);
    (nodeAt(this.#root, parts.slice(0, -1)) as SimDir).settle(parts.at(-1)!, undefined);
  }

  #file(path: string): SimFile {
    const node = nodeAt(this.#root, partsOf(path));
    if (node instanceof SimFile) return node;
    throw new Error(`${path} is a directory`);
  }

  #ordersFor(operation: SimOperation): Orders {
    const orders = this.#plan.next(operation);
    if (orders.stop !== undefined) {
      this.#stopped = orders.stop;
      throw orders.stop;
    }
    if (orders.fail !== undefined) throw new SimErrno(orders.fail);
    return orders;
  }

  #successor(changed: Omit<Heritage, "nodes" | "process">): SimDisk {
    return new SimDisk(this.#options, { ...changed, nodes: this.#nodes, process: this.#process + 1 });
  }

  async #call<T, Begun>(
    operation: SimOperation,
    path: string,
    finish: (call: SimCall, begun: Begun, orders: Orders) => T,
    begin?: () => Begun,
  ): Promise<T> {
    if (this.#stopped !== undefined) throw this.#stopped;
    const call: SimCall = { n: this.trace.length + 1, operation, path };
    this.trace.push(call);
    try {
      const orders = this.#ordersFor(operation);
      const begun = begin?.() as Begun;
      await this.pause?.(call);
      if (this.#stopped !== undefined) throw this.#stopped;
      const result = finish(call, begun, orders);
      if (call.changed) this.mutations++;
      return result;
    } catch (cause) {
      throw cause instanceof SimErrno ? simulatedError(cause, operation, path) : cause;
    }
  }
}

function bytesBelow(dir: SimDir): number {
  let sum = 0;
  for (const node of dir.entries.values()) sum += node instanceof SimDir ? bytesBelow(node) : node.bytes.length;
  return sum;
}
