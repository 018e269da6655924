// One call on the simulated disk: how it is named in a trace, the faults that are planned for it, and the errors it ends in,
// which carry the codes and details of the real file system. What calls do is in sim-fs.ts.
import { storageError } from "../env/storage-error.ts";
import type { PapyraError } from "../errors.ts";

/** The name of a call in a trace: the verb of `Fs` or `OpenFile`; `create` is an open that makes the file. */
export type SimOperation =
  | (
      | "list"
      | "makeDir"
      | "stat"
      | "open"
      | "create"
      | "rename"
      | "remove"
      | "removeDir"
      | "syncDir"
      | "lock"
      | "release"
    )
  | ("imitate" | "read" | "write" | "truncate" | "sync" | "close");

/** One call as a trace shows it. */
export interface SimCall {
  /** 1 for the first call on this disk. */
  readonly n: number;
  readonly operation: SimOperation;
  /** As it was given; "a to b" for a rename. */
  readonly path: string;
  /** How many bytes were read or written. */
  bytes?: number;
  /** Where in the file these bytes stand; of a truncation, where it ends now. */
  position?: number;
  /** Whether the call changed a file or a name. */
  changed?: boolean;
}

/** The faults that a call can be made to fail with. */
export type SimFault = "EIO" | "ENOSPC" | "EMFILE" | "EROFS" | "EINTR";

/** What every call rejects with once the power is gone. */
export class PowerCut extends Error {
  constructor() {
    super("the simulated power is gone");
    this.name = "PowerCut";
  }
}

/** What every call of a process rejects with once it was killed. */
export class ProcessKilled extends Error {
  constructor() {
    super("the simulated process was killed");
    this.name = "ProcessKilled";
  }
}

/** What a planned fault makes of one call. */
export interface Orders {
  /** End the process or the power before this call. */
  readonly stop?: PowerCut | ProcessKilled;
  /** Fail without effect. */
  readonly fail?: SimFault;
  /** The most bytes that this write takes. */
  readonly bytesMost?: number;
  /** Fail this sync and forget what it was to make durable. */
  readonly forget?: boolean;
}

interface Rule {
  /** Matching calls until it fires. */
  left: number;
  readonly operations: readonly SimOperation[] | undefined;
  readonly sticky: boolean;
  readonly orders: Orders;
}

/** The faults that are still to come, each counted from when it was planned. */
export class FaultPlan {
  /** How many calls a fault has hit. */
  hits = 0;
  #rules: Rule[] = [];

  add(n: number, operations: readonly SimOperation[] | undefined, orders: Orders, sticky: boolean = false): void {
    if (!(Number.isSafeInteger(n) && n >= 1)) throw new RangeError(`the next call is number 1; there is no call ${n}`);
    this.#rules.push({ left: n, operations, sticky, orders });
  }

  clear(): void {
    this.#rules = [];
  }

  /** Counts one call, and says what is to become of it. */
  next(operation: SimOperation): Orders {
    if (this.#rules.length === 0) return {};
    let orders: Orders = {};
    for (const rule of this.#rules) {
      if (rule.operations?.includes(operation) === false) continue;
      rule.left--;
      if (rule.left === 0 || (rule.sticky && rule.left < 0)) orders = { ...orders, ...rule.orders };
    }
    this.#rules = this.#rules.filter((rule) => rule.sticky || rule.left > 0);
    if (Object.keys(orders).length > 0) this.hits++;
    return orders;
  }
}

/** A failure by its errno, before it is given the operation and the path. */
export class SimErrno extends Error {
  readonly code: string;

  constructor(code: string) {
    super(`${code}: simulated`);
    this.name = "SimErrno";
    this.code = code;
  }
}

const PHRASES: Partial<Record<SimOperation, string>> = {
  makeDir: "make the directory",
  removeDir: "remove the directory",
  syncDir: "sync the directory",
};

/** The failure as the real file system reports it. */
export function simulatedError(cause: SimErrno, operation: SimOperation, path: string): PapyraError {
  return storageError(PHRASES[operation] ?? operation, path, cause);
}
