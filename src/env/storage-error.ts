// Foreign error codes become PapyraError here and nowhere else: the code, the operation, the path, the next step.
import { type ErrorCode, PapyraError } from "../errors.ts";

const CODES: Readonly<Record<string, { code: ErrorCode; hint: string }>> = {
  ENOENT: { code: "STORE_NOT_FOUND", hint: "check the path" },
  ENOTDIR: { code: "STORE_NOT_FOUND", hint: "check the path" },
  ENOSPC: { code: "STORAGE_FULL", hint: "free some space, then start again" },
  EDQUOT: { code: "STORAGE_FULL", hint: "raise the quota or free some space, then start again" },
  EFBIG: { code: "STORAGE_FULL", hint: "the file size limit of the process or file system is reached" },
  EIO: {
    code: "STORAGE_FAILED",
    hint: "the disk failed: read the kernel's log (dmesg), then run papyra persistence scan",
  },
  EACCES: { code: "STORAGE_FAILED", hint: "check the owner and the mode of the file and its directory" },
  EPERM: { code: "STORAGE_FAILED", hint: "check the owner, the mode and the attributes of the file" },
  EROFS: { code: "STORAGE_FAILED", hint: "the file system is read-only" },
  EISDIR: { code: "STORAGE_FAILED", hint: "a directory stands where a file should be: move it away" },
  ESPIPE: { code: "STORAGE_FAILED", hint: "a pipe stands where a file should be: move it away" },
  ENXIO: { code: "STORAGE_FAILED", hint: "a socket or a device stands where a file should be: move it away" },
  EMFILE: { code: "STORAGE_FAILED", hint: "raise the limit of open files (ulimit -n)" },
  ENFILE: { code: "STORAGE_FAILED", hint: "the machine has too many open files" },
};

/** Errors of Linux that Node has no name for: it says "Unknown system error -122" of a quota that is used up. */
const UNNAMED: Readonly<Record<number, string>> = { [-122]: "EDQUOT" };

function nameOf({ code = "UNKNOWN", errno = 0 }: NodeJS.ErrnoException): string {
  return UNNAMED[errno] ?? code;
}

/** The failure of one file-system call. A code that is not known is a failure of the storage, never damage. */
export function storageError(what: string, path: string, cause: unknown): PapyraError {
  const errno = nameOf(cause as NodeJS.ErrnoException);
  const known = CODES[errno] ?? { code: "STORAGE_FAILED" as const };
  return new PapyraError(known.code, `cannot ${what} ${path}: ${errno}`, {
    cause,
    ...("hint" in known ? { hint: known.hint } : {}),
    details: { operation: what, path, errno },
  });
}
