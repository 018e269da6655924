// Faults of a disk, drawn by dice: each kind at any call that it can hit, several on the same machine.
import type { SimDisk } from "../../src/testing/sim-disk.ts";
import type { Dice } from "./random-scenario.ts";

/** So many calls of any kind, and of one kind, are made in a random life until it is likely over. */
const CALLS = 400;
const CALLS_OF_A_KIND = 40;

/** The kind after which what can be read may not be on the disk, and never will be. */
export const FORGETS = "a sync tells of a write that is lost";

/** Each plans one fault. */
const FAULTS: Readonly<Record<string, (disk: SimDisk, dice: Dice) => void>> = {
  "one call fails": (disk, dice) => disk.failAt(any(dice), dice.of(["EIO", "ENOSPC", "EMFILE", "EROFS"])),
  "no sync works any more": (disk, dice) =>
    disk.failAt(some(dice), "EIO", { operations: ["sync", "syncDir"], sticky: true }),
  "no space any more": (disk, dice) =>
    disk.failAt(some(dice), "ENOSPC", { operations: ["write", "create", "makeDir", "rename"], sticky: true }),
  "read-only from here on": (disk, dice) =>
    disk.failAt(any(dice), "EROFS", {
      operations: ["write", "create", "rename", "remove", "truncate", "makeDir", "removeDir"],
      sticky: true,
    }),
  "a full disk": (disk, dice) => (disk.freeBytes = dice.below(20_000)),
  "a write comes short": (disk, dice) => disk.shortWriteAt(some(dice), 1 + dice.below(300)),
  "a read is interrupted": (disk, dice) => disk.failAt(some(dice), "EINTR", { operations: ["read"] }),
  "closing fails": (disk, dice) => disk.failAt(some(dice), "EIO", { operations: ["close"] }),
  [FORGETS]: (disk, dice) => disk.forgetAtSync(some(dice)),
};
const KINDS = Object.keys(FAULTS);

function any(dice: Dice): number {
  return 1 + dice.below(CALLS);
}

function some(dice: Dice): number {
  return 1 + dice.below(CALLS_OF_A_KIND);
}

/** Plans up to three faults for a new machine, or none. Returns what they are, in words. */
export function planFaults(disk: SimDisk, dice: Dice): string[] {
  disk.freeBytes = Number.POSITIVE_INFINITY; // the one before may have been full
  const kinds = Array.from({ length: dice.below(4) }, () => dice.of(KINDS));
  for (const kind of kinds) FAULTS[kind]?.(disk, dice);
  return kinds;
}
