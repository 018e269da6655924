// Seeded random damage to the files of a log: of bytes, of lines, of whole files; and lies whose checksums are right.
import { crc32 } from "node:zlib";
import { encodeControlLine, seedOf, verifies } from "../../src/log/codec.ts";

/** A generator of numbers below a bound; the same seed gives the same numbers. */
export type Dice = (below: number) => number;

export function diceOf(seed: number): Dice {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

/** The lines of a file, each with its line break; the last may lack it. */
export function splitLines(bytes: Buffer): Buffer[] {
  const lines: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const end = bytes.indexOf(0x0a, at) + 1 || bytes.length;
    lines.push(bytes.subarray(at, end));
    at = end;
  }
  return lines;
}

type Mutation = (files: Buffer[], dice: Dice, foreign: readonly Buffer[]) => Buffer[];

/** Replaces `remove` bytes at `at` of one file. */
function splice(files: readonly Buffer[], file: number, at: number, remove: number, insert: Uint8Array): Buffer[] {
  const bytes = files[file] ?? Buffer.alloc(0);
  return files.with(file, Buffer.concat([bytes.subarray(0, at), insert, bytes.subarray(at + remove)]));
}

function onBytes(change: (bytes: Buffer, at: number, dice: Dice) => [remove: number, insert: Uint8Array]): Mutation {
  return (files, dice) => {
    const file = dice(files.length);
    const bytes = files[file] ?? Buffer.alloc(0);
    if (bytes.length === 0) return files;
    const at = dice(bytes.length);
    return splice(files, file, at, ...change(bytes, at, dice));
  };
}

function onLines(change: (lines: Buffer[], at: number, dice: Dice, foreign: readonly Buffer[]) => Buffer[]): Mutation {
  return (files, dice, foreign) => {
    const file = dice(files.length);
    const lines = splitLines(files[file] ?? Buffer.alloc(0));
    return lines.length === 0
      ? files
      : files.with(file, Buffer.concat(change(lines, dice(lines.length), dice, foreign)));
  };
}

const none = Buffer.alloc(0);
const pick = <T>(list: readonly T[], dice: Dice): T => list[dice(list.length)] as T;

/** Whether a line verifies under the first one. */
function isWhole(lines: readonly Buffer[], at: number): boolean {
  const line = lines[at];
  return at > 0 && line?.at(-1) === 0x0a && verifies(seedOf(lines[0] as Buffer), line, 0, line.length - 1);
}

/** Numbers that no record has, though a checksum may be right. */
const ABSURD = ["0", "-1", "2.5", "4503599627370497", "9007199254740991", "9007199254740993", "1".repeat(30)];

/** A line that verifies and says something else where it says this. */
function lieAbout(where: RegExp, lieOf: (stated: string, dice: Dice) => string): Mutation {
  return onLines((lines, at, dice) => {
    if (!isWhole(lines, at)) return lines;
    const body = String(lines[at]).slice(0, -19);
    const lie = body.replace(where, (_, stated: string) => lieOf(stated, dice));
    const crc = crc32(lie, seedOf(lines[0] as Buffer))
      .toString(16)
      .padStart(8, "0");
    return lie === body ? lines : lines.with(at, Buffer.from(`${lie},"crc":"${crc}"}\n`));
  });
}

/** Each kind of damage, by name. */
export const MUTATIONS: Readonly<Record<string, Mutation>> = {
  flip: onBytes((bytes, at, dice) => [1, Buffer.of((bytes[at] as number) ^ (1 << dice(8)))]),
  set: onBytes((_, __, dice) => [1, Buffer.of(pick([0, 0x0a, 0x0d, 0x20, 0x22, 0x2c, 0x30, 0x7d, 0xff], dice))]),
  lose: onBytes((_, __, dice) => [1 + dice(300), none]),
  insert: onBytes((_, __, dice) => [0, Buffer.alloc(1 + dice(5), pick([0, 0x0a, 0x30, 0x7b, 0x80], dice))]),
  zero: onBytes((bytes, at, dice) => {
    const length = Math.min(bytes.length - at, 1 + dice(512));
    return [length, Buffer.alloc(length)];
  }),
  repeat: onBytes((bytes, at, dice) => [0, bytes.subarray(at, at + 1 + dice(300))]),
  cut: onBytes((bytes, at) => [bytes.length - at, none]),
  break: onBytes((bytes, at) => [bytes.indexOf(0x0a, at) === at ? 1 : 0, none]),
  loseBreak: onLines((lines, at) => lines.with(at, (lines[at] as Buffer).subarray(0, -1))),
  loseLine: onLines((lines, at) => lines.toSpliced(at, 1)),
  loseLines: onLines((lines, at) => lines.slice(0, at)),
  doubleLine: onLines((lines, at) => lines.toSpliced(at, 0, lines[at] as Buffer)),
  moveLine: onLines((lines, at, dice) => lines.toSpliced(at, 1).toSpliced(dice(lines.length), 0, lines[at] as Buffer)),
  swapLines: onLines((lines, at, dice) => {
    const other = dice(lines.length);
    return lines.with(at, lines[other] as Buffer).with(other, lines[at] as Buffer);
  }),
  foreignLine: onLines((lines, at, dice, foreign) => {
    const theirs = splitLines(pick(foreign, dice));
    return lines.toSpliced(at, dice(2), pick(theirs, dice));
  }),
  carriageReturns: onLines((lines) => lines.map((line) => Buffer.concat([line.subarray(0, -1), Buffer.from("\r\n")]))),
  lineOfAnotherFile: (files, dice) => {
    const from = splitLines(pick(files, dice));
    const file = dice(files.length);
    const to = splitLines(files[file] as Buffer);
    if (from.length === 0) return files;
    return files.with(file, Buffer.concat(to.toSpliced(dice(to.length + 1), 0, pick(from, dice))));
  },
  append: (files, dice) => {
    const file = dice(files.length);
    const line = pick(splitLines(files[file] as Buffer), dice) ?? none;
    return splice(files, file, (files[file] as Buffer).length, 0, line.subarray(0, dice(line.length + 1)));
  },
  loseFile: (files, dice) => (files.length > 1 ? files.toSpliced(dice(files.length), 1) : files),
  swapFiles: (files, dice) => {
    const [a, b] = [dice(files.length), dice(files.length)];
    return files.with(a, files[b] as Buffer).with(b, files[a] as Buffer);
  },
  foreignFile: (files, dice, foreign) => files.with(dice(files.length), pick(foreign, dice)),
  doubleFile: (files, dice) => files.toSpliced(dice(files.length + 1), 0, pick(files, dice)),
  emptyFile: (files, dice) => files.with(dice(files.length), none),
  identity: (files, dice) => {
    const file = dice(files.length);
    const bytes = files[file] as Buffer;
    const at = dice(Math.max(1, bytes.indexOf(0x0a) + 1));
    const insert = Buffer.of(pick([0x0a, 0x20, 0x22, 0x31, 0x61, 0xff], dice)).subarray(0, dice(2));
    return splice(files, file, at, dice(3), insert);
  },
  loseIdentity: onLines((lines) => lines.slice(1)),
  reseal: (files, dice) => {
    const file = dice(files.length);
    const lines = splitLines(files[file] as Buffer);
    const at = lines.findIndex((line) => line.toString().startsWith('{"kind":"seal",'));
    if (!isWhole(lines, at)) return files; // there is none, or it is damaged already
    const { kind: _, crc: __, ...fields } = JSON.parse(String(lines[at])) as Record<string, unknown>;
    const name = pick(Object.keys(fields), dice);
    const value = fields[name];
    const lie = typeof value === "number" ? value + pick([-1, 1, 1e6], dice) : pick([null, "00", 7], dice);
    const line = encodeControlLine(seedOf(lines[0] as Buffer), "seal", { ...fields, [name]: lie });
    return files.with(file, Buffer.concat(lines.with(at, Buffer.from(line))));
  },
  renumber: lieAbout(/^\{"seq":(\d+)/, (seq, dice) => `{"seq":${Math.max(1, Number(seq) + pick([-1, 1, 9], dice))}`),
  absurdSeq: lieAbout(/^\{"seq":(\d+)/, (_, dice) => `{"seq":${pick([...ABSURD, "4e0"], dice)}`),
  absurdDurable: lieAbout(/,"durable":(\d+)/, (_, dice) => `,"durable":${pick(ABSURD.slice(1), dice)}`),
  absurdGap: lieAbout(/,"to":(\d+)/, (_, dice) => `,"to":${pick(ABSURD, dice)}`),
  nothing: (files) => files,
};

/** One to three kinds of damage, one after the other; says which. */
export function mutate(files: Buffer[], dice: Dice, foreign: readonly Buffer[]): { files: Buffer[]; names: string[] } {
  const names = Array.from({ length: 1 + (dice(4) === 0 ? dice(3) : 0) }, () => pick(Object.keys(MUTATIONS), dice));
  const mutated = names.reduce((now, name) => (MUTATIONS[name] as Mutation)(now, dice, foreign), files);
  return { files: mutated, names };
}
