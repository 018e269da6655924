// Ways in which a real disk fails under a process, and how each is mended. For programs in a mount namespace of their own.
import { spawnSync } from "node:child_process";
import { mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { run } from "./live-writer.mjs";

/**
 * The faults of a store at `disk/persistence` in the directory `work`. Each: what comes before the process is started, what
 * hits it and what takes the fault away, both called with the pid of the process.
 */
export function faultsIn(work) {
  const images = join(work, "images");
  const image = join(images, "disk.img");
  const disk = join(work, "disk");
  const path = join(disk, "persistence");
  const ballast = join(disk, "ballast");
  mkdirSync(images);
  mkdirSync(disk);

  /** A file system on a loop device; the image lies on a tmpfs of `bytes`. */
  function mountDisk(bytes, mkfs = [], mount = "loop") {
    run("mount", "-t", "tmpfs", "-o", `size=${bytes}`, "papyra-test", images);
    run("truncate", "-s", "64M", image);
    run("mkfs.ext4", "-q", ...mkfs, image);
    run("mount", "-o", mount, image, disk);
  }

  function loopName() {
    const { stdout } = spawnSync("findmnt", ["-no", "SOURCE", disk], { encoding: "utf8" });
    return basename(stdout.trim());
  }

  const faults = {
    /** ext4 finds an error and turns itself read-only. */
    "turned-read-only": {
      before: () => mountDisk("200m", [], "loop,errors=remount-ro"),
      hit: () => run("sh", "-c", `echo papyra > /sys/fs/ext4/${loopName()}/trigger_fs_error`),
      heal() {
        run("umount", disk);
        spawnSync("e2fsck", ["-fy", image]); // ends with 1 when it has mended something
        run("mount", "-o", "loop", image, disk);
      },
    },
    /** Write-back fails: the device under the file system has no space. A second sync would "succeed" (fsyncgate). */
    "failed-write-back": {
      before: () => mountDisk("3m", ["-O", "^has_journal"]),
      hit: () => undefined,
      heal: () => run("mount", "-o", "remount,size=200m", images),
    },
    "file-size-limit": {
      before: () => undefined,
      hit: (pid) => run("prlimit", "--pid", String(pid), "--fsize=300000:unlimited"),
      heal: (pid) => run("prlimit", "--pid", String(pid), "--fsize=unlimited:unlimited"),
      segmentBytes: "",
    },
    "open-files-limit": {
      before: () => undefined,
      hit: (pid) => run("prlimit", "--pid", String(pid), "--nofile=4:4096"),
      heal: (pid) => run("prlimit", "--pid", String(pid), "--nofile=4096:4096"),
    },
    "directory-moved-away": {
      before: () => undefined,
      hit: () => renameSync(path, join(disk, "elsewhere")),
      heal: () => renameSync(join(disk, "elsewhere"), path),
    },
    "immutable-file": {
      before: () => mountDisk("200m"),
      hit: () => run("chattr", "+i", join(path, "events.ndjson")),
      heal: () => run("chattr", "-i", join(path, "events.ndjson")),
      segmentBytes: "",
    },
    /** Every inode is taken: what is open can be written, and no new segment can be begun. */
    "no-inodes": {
      before: () => run("mount", "-t", "tmpfs", "-o", "size=64m,nr_inodes=200", "papyra-test", disk),
      hit() {
        mkdirSync(ballast);
        for (let i = 0; i < 200; i++) tryToWrite(join(ballast, String(i)), 0);
      },
      heal: () => rmSync(ballast, { recursive: true }),
    },
    /** What was written stays as it is: a file that is full cannot get its closed name. */
    "append-only-file": {
      before: () => mountDisk("200m"),
      hit: () => run("chattr", "+a", join(path, "events.ndjson")),
      heal: () => run("chattr", "-a", join(path, "events.ndjson")),
    },
    /** Another file takes all the space that there is. */
    "full-disk": {
      before: () => run("mount", "-t", "tmpfs", "-o", "size=1m", "papyra-test", disk),
      hit() {
        for (let bytes = 1 << 20; bytes >= 4096; bytes /= 2) tryToWrite(ballast, bytes);
      },
      heal: () => rmSync(ballast),
    },
  };
  return { faults, disk, path };
}

/** Makes a file longer, as far as the disk lets it. */
function tryToWrite(file, bytes) {
  try {
    writeFileSync(file, Buffer.alloc(bytes), { flag: "a" });
  } catch (error) {
    if (error.code !== "ENOSPC") throw error;
  }
}
