// The kinds of faults at one file call of a real process. Those that are harmless must go unnoticed; of those that lie, a process
// cannot know.
import { ERRNO } from "./shim.mjs";

export const KINDS = {
  EIO: { value: ERRNO.EIO },
  ENOSPC: { value: ERRNO.ENOSPC },
  EDQUOT: { value: ERRNO.EDQUOT },
  EROFS: { value: ERRNO.EROFS },
  "EIO from then on": { value: ERRNO.EIO, sticky: true },
  "EMFILE on open": { value: ERRNO.EMFILE, operations: ["open"] },
  "EIO on read": { value: ERRNO.EIO, operations: ["read"] },
  "EINTR on read": { value: ERRNO.EINTR, operations: ["read"] },
  "a short read": { action: "short", value: 7, operations: ["read"], harmless: true },
  "a short write": { action: "short", value: 1, operations: ["write"], harmless: true },
  "a longer short write": { action: "short", value: 100, operations: ["write"], harmless: true },
  "a bit is read wrong": { action: "flip", value: 33, operations: ["read"], lies: true },
  "a bit is written wrong": { action: "flip", value: 77, operations: ["write"], lies: true },
  "a write that is not done": { action: "lie", operations: ["write"], lies: true },
  "a name that is not changed": { action: "lie", operations: ["rename", "unlink"], lies: true },
};
