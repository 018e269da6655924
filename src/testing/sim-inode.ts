// What the simulated disk keeps of each file and directory: what everybody sees (the cache), what a power cut cannot take
// (durable), and the changes in between (pending), in the order in which they were completed.
// Files share their bytes with their copies until one of them is written, so that copying a whole disk is cheap.

/** Bytes that grow by writing; copies share them until one is written. */
export class SharedBytes {
  #buffer: Buffer;
  #owned: boolean;
  length: number;

  constructor(buffer: Buffer = Buffer.alloc(0)) {
    this.#buffer = buffer;
    this.#owned = false;
    this.length = buffer.length;
  }

  /** A copy that costs nothing until it or the original is written. */
  share(): SharedBytes {
    this.#owned = false;
    return new SharedBytes(this.#buffer.subarray(0, this.length));
  }

  read(into: Uint8Array, position: number): number {
    const end = Math.min(this.length, position + into.length);
    if (end <= position) return 0;
    into.set(this.#buffer.subarray(position, end));
    return end - position;
  }

  write(bytes: Uint8Array, position: number): void {
    if (bytes.length === 0) return;
    this.extend(position);
    this.#own(position + bytes.length);
    this.#buffer.set(bytes, position);
    this.length = Math.max(this.length, position + bytes.length);
  }

  /** Makes the length at least `length`; what is new reads as zeros. */
  extend(length: number): void {
    if (length <= this.length) return;
    this.#own(length);
    this.#buffer.fill(0, this.length, length);
    this.length = length;
  }

  /** Makes the length at most `length`. */
  cut(length: number): void {
    this.length = Math.min(this.length, length);
  }

  copy(): Buffer {
    return Buffer.from(this.#buffer.subarray(0, this.length));
  }

  #own(bytesNeeded: number): void {
    if (this.#owned && bytesNeeded <= this.#buffer.length) return;
    const grown = Buffer.allocUnsafe(Math.max(bytesNeeded, this.length * 2, 256));
    grown.set(this.#buffer.subarray(0, this.length));
    this.#buffer = grown;
    this.#owned = true;
  }
}

/** What files and directories have in common; `Change` is what a sync makes durable. */
class SimNode<Change> {
  readonly number: number;
  changedMs: number;
  /** `changedMs` when nothing was pending for the last time. */
  durableMs: number;
  exclusive = false;
  shared = 0;
  pending: Change[] = [];
  #settled = 0;

  constructor(number: number, nowMs: number) {
    this.number = number;
    this.changedMs = nowMs;
    this.durableMs = nowMs;
  }

  /** A point in the sequence of completed changes, to hand to `take` later. */
  mark(): number {
    return this.#settled + this.pending.length;
  }

  /** Removes and returns the pending changes before a mark; a sync that overlapped may have taken them already. */
  take(mark: number): Change[] {
    const taken = this.pending.splice(0, Math.max(0, mark - this.#settled));
    this.#settled += taken.length;
    return taken;
  }

  protected copyTimesTo(copy: SimNode<Change>): void {
    copy.durableMs = this.durableMs;
    copy.pending = this.pending.slice();
  }
}

/** A write that is not durable yet, or a truncation. */
export interface PendingWrite {
  readonly position: number;
  readonly bytes: Buffer;
  /** The file ends at `position`. */
  readonly truncates?: true;
}

/** Applies a write as a whole. */
export function applyWrite(bytes: SharedBytes, write: PendingWrite): void {
  if (write.truncates === true) bytes.cut(write.position);
  else bytes.write(write.bytes, write.position);
}

/** A simulated file. */
export class SimFile extends SimNode<PendingWrite> {
  bytes: SharedBytes;
  durable: SharedBytes;

  constructor(number: number, nowMs: number, durable: SharedBytes = new SharedBytes()) {
    super(number, nowMs);
    this.durable = durable;
    this.bytes = durable.share();
  }

  write(given: Uint8Array, position: number, nowMs: number): void {
    if (given.length === 0) return;
    const bytes = Buffer.from(given); // the caller may use its buffer again
    this.bytes.write(bytes, position);
    this.pending.push({ position, bytes });
    this.changedMs = nowMs;
  }

  truncate(length: number, nowMs: number): void {
    this.bytes.cut(length);
    this.pending.push({ position: length, bytes: Buffer.alloc(0), truncates: true });
    this.changedMs = nowMs;
  }

  /** Makes durable what was completed before the mark. */
  commit(mark: number): void {
    for (const write of this.take(mark)) applyWrite(this.durable, write);
    if (this.pending.length === 0) this.durableMs = this.changedMs;
  }

  /** The same file with its cache, for a process that starts after this one died. */
  copy(): SimFile {
    const copy = new SimFile(this.number, this.changedMs, this.durable.share());
    copy.bytes = this.bytes.share();
    this.copyTimesTo(copy);
    return copy;
  }
}

/** A change of a directory's names that is not durable yet: `node` gets `name`, and loses `from` if that is given. */
export interface PendingEntry {
  readonly name: string;
  readonly node: SimFile | SimDir | undefined;
  readonly from?: string;
}

/** Applies a change of names. */
export function applyEntry(entries: Map<string, SimFile | SimDir>, change: PendingEntry): void {
  if (change.from !== undefined) entries.delete(change.from);
  if (change.node === undefined) entries.delete(change.name);
  else entries.set(change.name, change.node);
}

/** A simulated directory. */
export class SimDir extends SimNode<PendingEntry> {
  entries: Map<string, SimFile | SimDir> = new Map();
  durable: Map<string, SimFile | SimDir> = new Map();

  change(change: PendingEntry, nowMs: number): void {
    applyEntry(this.entries, change);
    this.pending.push(change);
    this.changedMs = nowMs;
  }

  /** Makes durable what was completed before the mark. */
  commit(mark: number): void {
    for (const change of this.take(mark)) applyEntry(this.durable, change);
    if (this.pending.length === 0) this.durableMs = this.changedMs;
  }

  /** Gives a name to a node, or to none, durably; what was pending here becomes durable too. */
  settle(name: string, node: SimFile | SimDir | undefined): void {
    this.commit(this.mark());
    applyEntry(this.entries, { name, node });
    applyEntry(this.durable, { name, node });
  }

  /** Everything below with its cache; `copies` keeps one copy for each node, whatever its names. */
  copy(copies: Map<SimFile | SimDir, SimFile | SimDir> = new Map()): SimDir {
    const copy = new SimDir(this.number, this.changedMs);
    copies.set(this, copy);
    const copyOf = (node: SimFile | SimDir): SimFile | SimDir => {
      const known = copies.get(node);
      if (known !== undefined) return known;
      const made = node instanceof SimDir ? node.copy(copies) : node.copy();
      copies.set(node, made);
      return made;
    };
    for (const [name, node] of this.entries) copy.entries.set(name, copyOf(node));
    for (const [name, node] of this.durable) copy.durable.set(name, copyOf(node));
    this.copyTimesTo(copy);
    copy.pending = this.pending.map((change) =>
      change.node === undefined ? change : { ...change, node: copyOf(change.node) },
    );
    return copy;
  }
}
