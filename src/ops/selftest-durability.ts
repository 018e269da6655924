// What a disk promises, in plain words, by the kind of its file system and by how long a sync takes. Pure.
import type { Latency } from "./latency.ts";

/** What kind of thing keeps the bytes: "local" is a disk or something that says it is one. */
export type VolumeKind = "local" | "memory" | "network" | "layer" | "unknown";

export interface VolumeFacts {
  /** `ext4`, `tmpfs`, ..., or the number of a kind that is not known here. */
  readonly name: string;
  readonly kind: VolumeKind;
  /** What the kernel calls it (statfs). */
  readonly type: number;
  readonly freeBytes: number;
  /** It is known to store nothing for what was never written, and to have a largest file that can be reached. */
  readonly hasHoles: boolean;
}

const EXT = 0xef53;

/** By the numbers of Linux (statfs(2)). */
const KINDS: ReadonlyMap<number, readonly [name: string, kind: VolumeKind]> = new Map([
  [EXT, ["ext2/3/4", "local"]],
  [0x58465342, ["xfs", "local"]],
  [0x9123683e, ["btrfs", "local"]],
  [0x2fc12fc1, ["zfs", "local"]],
  [0xf2f52010, ["f2fs", "local"]],
  [0xca451a4e, ["bcachefs", "local"]],
  [0x01021994, ["tmpfs", "memory"]],
  [0x858458f6, ["ramfs", "memory"]],
  [0x6969, ["nfs", "network"]],
  [0x517b, ["smb", "network"]],
  [0xff534d42, ["cifs", "network"]],
  [0xfe534d42, ["smb2", "network"]],
  [0x00c36400, ["ceph", "network"]],
  [0x01021997, ["9p", "network"]],
  [0x0bd00bd0, ["lustre", "network"]],
  [0x794c7630, ["overlayfs", "layer"]],
  [0x65735546, ["fuse", "layer"]],
]);

export function volumeFacts(type: number, freeBytes: number): VolumeFacts {
  const unsigned = type >>> 0; // some kernels give it as a signed number
  const [name, kind] = KINDS.get(unsigned) ?? [`unknown (0x${unsigned.toString(16)})`, "unknown" as const];
  return { name, kind, type: unsigned, freeBytes, hasHoles: unsigned === EXT };
}

export interface Durability {
  /**
   * What an acknowledged record survives, as far as can be told. "process": the death of the process only. "unproven": the disk
   * answers faster than a drive can write. "server": what the server of a network file system promises. "disk": a crash of the
   * machine and a power cut, if the drive does what it says.
   */
  readonly survives: "process" | "unproven" | "server" | "disk";
  /** Half a line, for the verdict. */
  readonly summary: string;
  /** Whole sentences. */
  readonly text: readonly string[];
}

/** No drive has written to its medium sooner. Drives with a protected cache come close. */
export const TOO_FAST_MS = 0.05;

export const UNKNOWABLE: readonly string[] = [
  "whether the drive, its controller or a hypervisor says that bytes are on the medium while they are in a volatile cache: only cutting the power shows it",
  "whether what was written today can be read in a year: only reading it again shows it (papyra persistence scan)",
  "what a full or failing disk does: this test neither fills the disk nor breaks it",
];

export function durabilityOf({ name, kind }: VolumeFacts, sync: Latency): Durability {
  const took = `a sync takes ${shownMs(sync.p50Ms)} (1 in 100 more than ${shownMs(sync.p99Ms)})`;
  if (kind === "memory") {
    const text = [`${name} is memory: a reboot or a power cut loses everything, whatever is synced.`];
    return {
      survives: "process",
      summary: `${name} is memory, nothing survives a reboot`,
      text: [...text, `${took}.`],
    };
  }
  if (kind === "network") {
    const text = [
      `${name} is a network file system; ${took}.`,
      "A sync is what the server makes of it, and a lock holds among machines only if the server says so: keep one writer by other means.",
    ];
    return { survives: "server", summary: `${name}: as durable as its server makes it`, text };
  }
  if (sync.p50Ms < TOO_FAST_MS) {
    const text = [
      `${took}: that is too fast for a drive that writes to its medium.`,
      "It is memory, a drive with a protected cache (power-loss protection), or a layer that ignores syncs. Its data sheet or a power cut tells which; until then, expect a power cut to lose the last records.",
    ];
    return { survives: "unproven", summary: `${took}, too fast for a disk that really writes`, text };
  }
  const layer =
    kind === "layer" ? [`${name} is a layer over something else: its files may go with the container.`] : [];
  const text = [
    `${took}: plausible for a drive that really writes.`,
    "With durability fsync, an acknowledged record survives the death of the process, a crash of the machine and, if the drive does what it says, a power cut.",
    ...layer,
  ];
  return { survives: "disk", summary: `${took}, as of a disk that really writes`, text };
}

/** Milliseconds with as many digits as matter. */
export function shownMs(ms: number): string {
  return `${ms >= 100 ? ms.toFixed(0) : ms >= 1 ? ms.toFixed(1) : ms.toFixed(3)} ms`;
}
