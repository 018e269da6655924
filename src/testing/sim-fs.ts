// The file-system verbs of the simulated disk, over its files and directories. They promise the answers and the error codes
// of the real file system on Linux (a conformance test compares the two); links, modes and owners are not modelled.
// Counting calls and making them fail is sim-disk.ts's business.
import { posix } from "node:path";
import type { FileLock, FileStat, Fs, OpenFile } from "../env/env.ts";
import { type Orders, type SimCall, SimErrno, type SimOperation } from "./sim-calls.ts";
import { SimDir, SimFile } from "./sim-inode.ts";

/** What the verbs need of the disk. */
export interface SimMachine {
  readonly root: SimDir;
  readonly usage: { freeBytes: number; openFiles: number };
  nowMs(): number;
  newNumber(): number;
  idOf(node: SimFile | SimDir): string;
  /** Runs one call: `begin` when it is made, `finish` when it completes; the disk may fail it at either point. */
  call<T, Begun = void>(
    operation: SimOperation,
    path: string,
    finish: (call: SimCall, begun: Begun, orders: Orders) => T,
    begin?: () => Begun,
  ): Promise<T>;
}

/** The same few paths are asked for again and again; more than so many are not remembered. */
const PATHS_MAX = 10_000;
const known = new Map<string, readonly string[]>();

/** The names that lead to a path. */
export function partsOf(path: string): readonly string[] {
  const found = known.get(path);
  if (found !== undefined) return found;
  const parts = posix
    .resolve("/", path)
    .split("/")
    .filter((part) => part !== "");
  if (known.size === PATHS_MAX) known.clear();
  known.set(path, parts);
  return parts;
}

/** What the names lead to; throws ENOENT or ENOTDIR. */
export function nodeAt(root: SimDir, parts: readonly string[]): SimFile | SimDir {
  let node: SimFile | SimDir = root;
  for (const part of parts) {
    if (!(node instanceof SimDir)) throw new SimErrno("ENOTDIR");
    const next = node.entries.get(part);
    if (next === undefined) throw new SimErrno("ENOENT");
    node = next;
  }
  return node;
}

function dirAt(root: SimDir, parts: readonly string[]): SimDir {
  const node = nodeAt(root, parts);
  if (!(node instanceof SimDir)) throw new SimErrno("ENOTDIR");
  return node;
}

/** The verbs over one machine. */
export function createSimFs(machine: SimMachine): Fs {
  const { root } = machine;
  return {
    list: (dir) => machine.call("list", dir, () => [...dirAt(root, partsOf(dir)).entries.keys()].sort()),
    makeDir: (dir) => machine.call("makeDir", dir, (call) => makeDir(machine, partsOf(dir), call)),
    stat: (path) => machine.call("stat", path, () => statAt(machine, path)),
    open: (path, mode) =>
      machine.call(mode === "create" ? "create" : "open", path, (call) => {
        if (mode === "create") return openFile(machine, createAt(machine, path, call), path, true);
        const node = nodeAt(root, partsOf(path));
        if (mode === "update" && node instanceof SimDir) throw new SimErrno("EISDIR");
        return openFile(machine, node, path, mode === "update");
      }),
    rename: (from, to) => machine.call("rename", `${from} to ${to}`, (call) => rename(machine, from, to, call)),
    remove: (path) => machine.call("remove", path, (call) => remove(machine, partsOf(path), call)),
    removeDir: (dir) => machine.call("removeDir", dir, (call) => removeDir(machine, partsOf(dir), call)),
    imitate: (path, model) =>
      machine.call("imitate", path, () => void [nodeAt(root, partsOf(path)), nodeAt(root, partsOf(model))]),
    freeBytes: (dir) =>
      machine.call("stat", dir, () => {
        nodeAt(root, partsOf(dir));
        return machine.usage.freeBytes;
      }),
    syncDir: (dir) =>
      machine.call(
        "syncDir",
        dir,
        (_call, { node, mark }) => node.commit(mark),
        () => {
          const node = nodeAt(root, partsOf(dir));
          return { node, mark: node.mark() };
        },
      ),
    lock: (path, mode) => machine.call("lock", path, (call) => lock(machine, path, mode, call)),
  };
}

function statOf(machine: SimMachine, node: SimFile | SimDir): FileStat {
  return {
    bytes: node instanceof SimFile ? node.bytes.length : 0,
    kind: node instanceof SimFile ? "file" : "directory",
    id: machine.idOf(node),
    changedMs: node.changedMs,
  };
}

function statAt(machine: SimMachine, path: string): FileStat | undefined {
  try {
    return statOf(machine, nodeAt(machine.root, partsOf(path)));
  } catch (error) {
    if (error instanceof SimErrno) return undefined; // ENOENT or ENOTDIR: nothing is there
    throw error;
  }
}

function makeDir(machine: SimMachine, parts: readonly string[], call: SimCall): void {
  let dir = machine.root;
  parts.forEach((name, index) => {
    const known = dir.entries.get(name);
    if (known instanceof SimFile) throw new SimErrno(index === parts.length - 1 ? "EEXIST" : "ENOTDIR");
    const made = known ?? new SimDir(machine.newNumber(), machine.nowMs());
    if (known === undefined) {
      dir.change({ name, node: made }, machine.nowMs());
      call.changed = true;
    }
    dir = made;
  });
}

function createAt(machine: SimMachine, path: string, call: SimCall): SimFile {
  const parts = partsOf(path);
  const name = parts.at(-1);
  const dir = dirAt(machine.root, parts.slice(0, -1));
  if (name === undefined || dir.entries.has(name)) throw new SimErrno("EEXIST");
  const file = new SimFile(machine.newNumber(), machine.nowMs());
  dir.change({ name, node: file }, machine.nowMs());
  call.changed = true;
  return file;
}

function remove(machine: SimMachine, parts: readonly string[], call: SimCall): void {
  const node = nodeAt(machine.root, parts);
  if (node instanceof SimDir) throw new SimErrno("EISDIR");
  const name = parts.at(-1)!;
  dirAt(machine.root, parts.slice(0, -1)).change({ name, node: undefined }, machine.nowMs());
  node.changedMs = machine.nowMs();
  machine.usage.freeBytes += node.bytes.length;
  call.changed = true;
}

function removeDir(machine: SimMachine, parts: readonly string[], call: SimCall): void {
  const node = nodeAt(machine.root, parts);
  if (node instanceof SimFile) throw new SimErrno("ENOTDIR");
  const name = parts.at(-1);
  if (name === undefined) throw new SimErrno("EBUSY"); // the root
  if (node.entries.size > 0) throw new SimErrno("ENOTEMPTY");
  dirAt(machine.root, parts.slice(0, -1)).change({ name, node: undefined }, machine.nowMs());
  call.changed = true;
}

function rename(machine: SimMachine, fromPath: string, toPath: string, call: SimCall): void {
  const [from, to] = [partsOf(fromPath), partsOf(toPath)];
  const [fromName, toName] = [from.at(-1), to.at(-1)];
  if (fromName === undefined || toName === undefined) throw new SimErrno("EBUSY"); // the root
  const fromDir = dirAt(machine.root, from.slice(0, -1));
  const toDir = dirAt(machine.root, to.slice(0, -1));
  const node = nodeAt(fromDir, [fromName]);
  const replaced = toDir.entries.get(toName);
  if (from.length < to.length && from.every((part, index) => part === to[index])) throw new SimErrno("EINVAL");
  if (to.length < from.length && to.every((part, index) => part === from[index])) throw new SimErrno("ENOTEMPTY");
  if (replaced === node) return;
  if (node instanceof SimDir && replaced instanceof SimFile) throw new SimErrno("ENOTDIR");
  if (node instanceof SimFile && replaced instanceof SimDir) throw new SimErrno("EISDIR");
  if (replaced instanceof SimDir && replaced.entries.size > 0) throw new SimErrno("ENOTEMPTY");
  const now = machine.nowMs();
  if (fromDir === toDir) fromDir.change({ name: toName, node, from: fromName }, now);
  else {
    toDir.change({ name: toName, node }, now);
    fromDir.change({ name: fromName, node: undefined }, now);
  }
  node.changedMs = now;
  if (replaced instanceof SimFile) machine.usage.freeBytes += replaced.bytes.length;
  call.changed = true;
}

function lock(machine: SimMachine, path: string, mode: "exclusive" | "shared", call: SimCall): FileLock | undefined {
  let node: SimFile | SimDir;
  if (mode === "exclusive" && statAt(machine, path) === undefined) node = createAt(machine, path, call);
  else node = nodeAt(machine.root, partsOf(path));
  if (mode === "exclusive" && node instanceof SimDir) throw new SimErrno("EISDIR");
  if (node.exclusive || (mode === "exclusive" && node.shared > 0)) return undefined;
  if (mode === "exclusive") node.exclusive = true;
  else node.shared++;
  let held = true;
  const release = (): void => {
    if (!held) return;
    held = false;
    if (mode === "exclusive") node.exclusive = false;
    else node.shared--;
  };
  const letGo = (): Promise<void> => {
    release(); // also when the call fails, as with any descriptor
    return machine.call("release", path, () => undefined);
  };
  return { id: machine.idOf(node), release: letGo };
}

function openFile(machine: SimMachine, node: SimFile | SimDir, path: string, writable: boolean): OpenFile {
  let open = true;
  machine.usage.openFiles++;
  const check = (able: boolean, position: number): void => {
    if (!open || !able) throw new SimErrno("EBADF");
    if (!(Number.isSafeInteger(position) && position >= 0)) throw new SimErrno("EINVAL");
  };
  const read = (into: Uint8Array, position: number, call: SimCall): number => {
    if (into.length === 0) return 0;
    if (node instanceof SimDir) throw new SimErrno("EISDIR");
    call.position = position;
    call.bytes = node.bytes.read(into, position);
    return call.bytes;
  };
  const sync = (mark: number, orders: Orders): void => {
    if (!orders.forget) return node.commit(mark);
    node.take(mark);
    throw new SimErrno("EIO");
  };
  const markNow = (): number => {
    check(true, 0);
    return node.mark(); // what completes while the sync runs is not covered by it
  };
  return {
    read: (into, position) =>
      machine.call(
        "read",
        path,
        (call) => read(into, position, call),
        () => check(true, position),
      ),
    write: (bytes, position) =>
      machine.call(
        "write",
        path,
        (call, _begun, orders) => write(machine, node as SimFile, bytes, position, call, orders),
        () => check(writable || bytes.length === 0, position), // Node asks the kernel nothing when there is nothing to write
      ),
    truncate: (bytes) =>
      machine.call(
        "truncate",
        path,
        (call) => truncate(machine, node as SimFile, bytes, call),
        () => {
          check(true, bytes);
          if (!writable) throw new SimErrno("EINVAL"); // and not EBADF, as of a write
        },
      ),
    sync: () => machine.call("sync", path, (_call, mark, orders) => sync(mark, orders), markNow),
    stat: () =>
      machine.call(
        "stat",
        path,
        () => statOf(machine, node),
        () => check(true, 0),
      ),
    close: () => {
      if (open) machine.usage.openFiles--;
      open = false; // also when the call fails: the kernel gives the descriptor back in any case
      return machine.call("close", path, () => undefined);
    },
  };
}

function truncate(machine: SimMachine, file: SimFile, length: number, call: SimCall): void {
  if (length > file.bytes.length) throw new SimErrno("EINVAL"); // nobody here makes files longer so
  machine.usage.freeBytes += file.bytes.length - length;
  file.truncate(length, machine.nowMs());
  call.position = length;
  call.changed = true;
}

function write(
  machine: SimMachine,
  file: SimFile,
  bytes: Uint8Array,
  position: number,
  call: SimCall,
  orders: Orders,
): number {
  if (bytes.length === 0) return 0;
  const growth = Math.max(0, position + bytes.length - file.bytes.length);
  const fitting = bytes.length - Math.max(0, growth - machine.usage.freeBytes);
  if (fitting <= 0) throw new SimErrno("ENOSPC");
  const count = Math.min(fitting, orders.bytesMost ?? fitting);
  const lengthBefore = file.bytes.length;
  file.write(count === bytes.length ? bytes : bytes.subarray(0, count), position, machine.nowMs());
  machine.usage.freeBytes -= file.bytes.length - lengthBefore;
  call.bytes = count;
  call.position = position;
  if (count > 0) call.changed = true;
  return count;
}
