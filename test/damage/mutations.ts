// Every way in which a small store is damaged: bytes, lines, files.
import { type Base, type Files, GONE, linesOf, logOf } from "./base.ts";

export interface Mutation {
  readonly what: string;
  readonly file: string;
  /** The files after the damage; what is not named stays as it was. */
  readonly files: Files;
  /** Nothing in the store can mend it: recovery must leave it alone and say so. */
  readonly beyondRepair?: boolean;
}

const INSERTED = [0x78, 0x0a, 0x00, 0x22, 0x7d, 0xff, 0x2c];

function one(what: string, file: string, bytes: Buffer): Mutation {
  return { what: `${what} of ${file}`, file, files: new Map([[file, bytes]]) };
}

export function flip(file: string, bytes: Buffer, at: number, bit: number): Mutation {
  const copy = Buffer.from(bytes);
  copy[at]! ^= 1 << bit;
  return one(`bit ${bit} of byte ${at} flipped`, file, copy);
}

export function remove(file: string, bytes: Buffer, at: number, length: number = 1): Mutation {
  const rest = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + length)]);
  return one(`${length} bytes at ${at} deleted`, file, rest);
}

export function insert(file: string, bytes: Buffer, at: number, value: number): Mutation {
  const more = Buffer.concat([bytes.subarray(0, at), Buffer.from([value]), bytes.subarray(at)]);
  return one(`byte ${value} inserted at ${at}`, file, more);
}

export function cut(file: string, bytes: Buffer, length: number): Mutation {
  return one(`cut to ${length} bytes`, file, Buffer.from(bytes.subarray(0, length)));
}

/** Each byte flipped in two ways, deleted, and something inserted before it and behind the last. */
export function* everyByte(file: string, bytes: Buffer): Generator<Mutation> {
  for (let at = 0; at < bytes.length; at++) {
    yield flip(file, bytes, at, at % 8);
    yield flip(file, bytes, at, (at + 1 + (at % 7)) % 8);
    yield remove(file, bytes, at);
    yield insert(file, bytes, at, INSERTED[at % INSERTED.length] as number);
  }
  for (const value of INSERTED) yield insert(file, bytes, bytes.length, value);
}

export function* everyCut(file: string, bytes: Buffer): Generator<Mutation> {
  for (let length = bytes.length - 1; length >= 0; length--) yield cut(file, bytes, length);
}

function withLines(what: string, file: string, lines: readonly string[]): Mutation {
  return one(what, file, Buffer.from(lines.join(""), "latin1"));
}

/** Each line, the identity line too: lost, doubled, swapped with the next, replaced by a line from elsewhere. */
export function* everyLine(base: Base, other: Base, file: string): Generator<Mutation> {
  const lines = linesOf(base.files.get(file) as Buffer);
  const replaced = (i: number, ...by: string[]): string[] => lines.flatMap((line, at) => (at === i ? by : [line]));
  for (const [i, line] of lines.entries()) {
    yield withLines(`line ${i} lost`, file, replaced(i));
    yield withLines(`line ${i} doubled`, file, replaced(i, line, line));
    const next = lines[i + 1];
    if (next !== undefined) {
      yield withLines(`line ${i} swapped with the next`, file, replaced(i + 1, line).with(i, next));
    }
    const foreign = linesOf(other.files.get(file) as Buffer)[i];
    if (foreign !== undefined) yield withLines(`line ${i} taken from another store`, file, replaced(i, foreign));
    for (const [name, bytes] of base.files) {
      const log = logOf(name);
      const fromLog = linesOf(bytes)[i];
      if (log !== undefined && log !== logOf(file) && fromLog !== undefined) {
        yield withLines(`line ${i} taken from ${name}`, file, replaced(i, fromLog));
      }
    }
  }
  const last = lines.at(-1) as string;
  yield withLines("the last line doubled without its line break", file, [...lines, last.slice(0, -1)]);
  yield withLines("everything doubled", file, [...lines, ...lines]);
  yield withLines("all lines reversed", file, [lines[0] as string, ...lines.slice(1).reverse()]);
}

/** Each file: emptied, removed, that of another store. */
export function* everyFile(base: Base, other: Base): Generator<Mutation> {
  for (const [file, bytes] of base.files) {
    yield one("emptied", file, Buffer.alloc(0));
    yield one("removed", file, GONE);
    yield one("all zeros", file, Buffer.alloc(bytes.length));
    yield { ...one("that of another store", file, other.files.get(file)!), beyondRepair: true };
    const log = logOf(file);
    for (const [name, content] of base.files) {
      const its = logOf(name);
      if (log !== undefined && its !== undefined && its !== log) {
        yield { ...one(`the content of ${name}`, file, content), beyondRepair: true };
      }
    }
  }
}
