// What Papyra needs of the world, as small interfaces: a file system, a clock, randomness, a host. The real ones are in
// node.ts; a disk that fails and loses power on purpose is in testing/sim-disk.ts. Nothing else touches the world.

/** What is at a path. */
export interface FileStat {
  readonly bytes: number;
  readonly kind: "file" | "directory" | "other";
  /** Differs between a file and every copy of it: device, inode and birth time. */
  readonly id: string;
  /** When content or attributes were last changed, by the file system's own account (ctime). */
  readonly changedMs: number;
}

/** An open file. Every position is explicit: nobody depends on a cursor or on O_APPEND. */
export interface OpenFile {
  /** Reads up to `into.length` bytes; resolves with how many, 0 at the end of the file. */
  read(into: Uint8Array, position: number): Promise<number>;
  /** Writes, possibly fewer bytes than given; resolves with how many. Callers loop (env/durable.ts). */
  write(bytes: Uint8Array, position: number): Promise<number>;
  /** Cuts the file to so many bytes. */
  truncate(bytes: number): Promise<void>;
  /** fdatasync: what was written before this call is durable when it resolves. */
  sync(): Promise<void>;
  stat(): Promise<FileStat>;
  close(): Promise<void>;
}

/** A lock held by this process; the kernel frees it when the process dies. */
export interface FileLock {
  /** The id of the very file that is locked: a path may name another one by now. */
  readonly id: string;
  release(): Promise<void>;
}

/**
 * The file system. Rejects with PapyraError (STORE_NOT_FOUND, STORAGE_FULL, STORAGE_FAILED), the cause kept.
 * Nothing here is durable by itself: files need `sync`, names need `syncDir`.
 */
export interface Fs {
  /** Names in a directory, sorted. */
  list(dir: string): Promise<string[]>;
  /** Makes a directory and its parents; does nothing when it exists. */
  makeDir(dir: string): Promise<void>;
  /** What is at a path, or undefined when nothing is. */
  stat(path: string): Promise<FileStat | undefined>;
  /** "read" and "update" (read and write) want an existing file; "create" refuses one. */
  open(path: string, mode: "read" | "update" | "create"): Promise<OpenFile>;
  rename(from: string, to: string): Promise<void>;
  remove(path: string): Promise<void>;
  /** Removes an empty directory. */
  removeDir(dir: string): Promise<void>;
  /**
   * Gives a file the owner and the permissions of `model`, or the owner of a directory: what is replaced by another user
   * must stay readable for its owner, and for nobody else.
   */
  imitate(path: string, model: string): Promise<void>;
  /** How many bytes an ordinary user may still write to the file system of a directory. */
  freeBytes(dir: string): Promise<number>;
  /** Makes the names in a directory durable. */
  syncDir(dir: string): Promise<void>;
  /**
   * Takes a kernel lock on a file without waiting; undefined when another holder is in the way. "exclusive" creates the
   * file when it is missing; "shared" needs it to exist and changes nothing, so that a read-only tool can ask.
   */
  lock(path: string, mode: "exclusive" | "shared"): Promise<FileLock | undefined>;
}

/** Time. Wall time is data only; order comes from sequence numbers. */
export interface Clock {
  /** Milliseconds since the epoch, by the wall clock; may jump. */
  nowMs(): number;
  /** Milliseconds from an arbitrary start; never goes back. */
  monotonicMs(): number;
  /**
   * Calls `fn` once after `delayMs`, unless the returned function is called first. Only a "foreground" wait (somebody
   * awaits it) keeps the process alive.
   */
  after(delayMs: number, fn: () => void, kind: "foreground" | "background"): () => void;
}

/** Randomness for names; never for secrets that users rely on. */
export interface Random {
  /** `bytes` random bytes as lower-case hex. */
  hex(bytes: number): string;
}

/** The machine and process, for lock owners and for telling one boot from another. */
export interface Host {
  readonly pid: number;
  readonly name: string;
  /** Changes at every boot of the machine; empty where the platform does not say. */
  readonly bootId: string;
}

/** A file system as a whole, for who measures it. */
export interface Volume {
  /** What this user can still write, in bytes, and the kernel's number for the kind of file system (statfs). */
  space(dir: string): Promise<{ readonly freeBytes: number; readonly type: number }>;
  /** Removes a directory with everything in it; does nothing when it is not there. */
  removeTree(dir: string): Promise<void>;
}

/** A process that this one started. It ends when this one does. */
export interface ChildProcess {
  /** Every whole line that it prints, from the first on: a line that was printed in full arrives, also when it is killed. */
  readonly lines: AsyncIterable<string>;
  /** Ends its stdin, as the end of this process does. */
  end(): void;
  /** SIGKILL. */
  kill(): void;
  /** Resolves when it is gone and all its lines have arrived, with how it ended, in words, and what it said on stderr. */
  readonly ended: Promise<{ readonly how: string; readonly stderr: string }>;
}

/** A thread of this process that answers what it is asked, one question after the other. Both are plain data. */
export interface Thread {
  /** Not before the last question was answered. Rejects when the thread fails or ends. */
  ask(question: unknown): Promise<unknown>;
  end(): Promise<void>;
}

/** Everything Papyra needs of the world. */
export interface Env {
  readonly fs: Fs;
  readonly clock: Clock;
  readonly random: Random;
  readonly host: Host;
  /** Starts a thread that runs a module, which sees the real world and no other. A simulated one has none. */
  readonly startThread?: (module: URL) => Thread;
}
