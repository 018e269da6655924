// A backup as a store that can only be read: scan, replay and inspect run over it as over any other, without a restore. Each
// part is compared with the hash that names it before a byte of it is given out.
import type { Backend, Claim, Segment, StoreView } from "../backends/backend.ts";
import { LIMITS_DEFAULT } from "../backends/limits.ts";
import { PapyraError } from "../errors.ts";
import { LOG_NAMES, type LogName } from "../log/record.ts";
import { parseFileName } from "../log/segments.ts";
import { type BackedUpSegment, type Manifest, type Part, partName } from "./manifest.ts";
import { getUnjudged, type ObjectStore } from "./objects.ts";
import { sha256Of } from "./sealed-json.ts";

/**
 * Rejects, while it is read, with BACKUP_DAMAGED where a part is gone or not what it was. Throws OPTION_INVALID for a file of a
 * server: only a server reads it.
 */
export function backupReader(objects: ObjectStore, manifest: Manifest): Backend {
  if (manifest.server_file !== undefined) throw needsServer(manifest);
  const view = viewOf(manifest);
  const segments = new Map(
    LOG_NAMES.flatMap((log) => manifest.logs[log].segments.map((one) => [one.name, { log, one }])),
  );
  /** The part that was read last: readers ask for the end of a segment, then for the next lines. */
  let held: { readonly name: string; readonly bytes: Buffer } | undefined;
  const load = async (log: LogName, part: Part, { name: segment }: BackedUpSegment): Promise<Buffer> => {
    const name = partName(log, part);
    if (held?.name !== name) held = { name, bytes: await loadPart(objects, manifest, log, part, segment) };
    return held.bytes;
  };
  return {
    kind: "files",
    location: `${objects.location} (backup ${manifest.id})`,
    durability: "a backup: nothing is written",
    limits: LIMITS_DEFAULT,
    env: objects.env,
    view: async () => view,
    async *read(name, from, to) {
      const found = segments.get(name);
      if (found === undefined)
        throw new PapyraError("STORE_NOT_FOUND", `the backup ${manifest.id} has no segment ${name}`);
      let at = 0;
      for (const part of found.one.parts) {
        const [start, end] = [Math.max(0, from - at), Math.min(part.bytes, to - at)];
        at += part.bytes;
        if (start >= end) continue;
        yield (await load(found.log, part, found.one)).subarray(start, end);
      }
    },
    quarantine: readOnly,
    readKept: () => {
      throw new PapyraError("STORE_NOT_FOUND", "a backup has no quarantine");
    },
    freeBytes: async () => 0,
    claim: (): Promise<Claim> => readOnly(),
  };
}

function needsServer({ id }: Manifest): PapyraError {
  return new PapyraError(
    "OPTION_INVALID",
    `the lines of backup ${id} are in an RDB file, which is read by a server that loads it`,
    {
      hint: `name a backup of lines (papyra backup list); or use the command line, which starts such a server: papyra backup restore --to-backup ${id}, papyra backup drill ${id}`,
      details: { backup: id },
    },
  );
}

/** A part of `whose`, verified. Rejects with BACKUP_DAMAGED. */
export async function loadPart(
  objects: ObjectStore,
  { id }: Manifest,
  log: LogName,
  part: Part,
  whose: string,
): Promise<Buffer> {
  const name = partName(log, part);
  const bytes = await getUnjudged(objects, name);
  if (bytes !== undefined && sha256Of(bytes) === part.sha256) return bytes;
  const what = bytes === undefined ? "is gone" : "is not what was stored";
  throw new PapyraError("BACKUP_DAMAGED", `backup ${id}: ${name}, a part of ${whose}, ${what}`, {
    hint: "use another backup: papyra backup list; what else is damaged: papyra backup verify",
    details: { backup: id, object: name, segment: whose },
  });
}

function viewOf(manifest: Manifest): StoreView {
  const { store, lineage, parent, ancestors, store_created: created, logs } = manifest;
  const segments: Segment[] = LOG_NAMES.flatMap((log) =>
    logs[log].segments.map(({ name, id, active, bytes }) => {
      const parsed = parseFileName(name);
      return { name, log, bytes, active, firstSeq: parsed.type === "closed" ? parsed.firstSeq : undefined, id };
    }),
  );
  return {
    identity: { store, lineage, parent, createdMs: Math.round(created * 1000), ancestors },
    identityRecorded: true,
    writer: undefined,
    segments,
    superseded: [],
    findings: [],
    reach: (log) => ({ seq: logs[log].last_seq, exact: true }),
  };
}

async function readOnly(): Promise<never> {
  throw new PapyraError("OPTION_INVALID", "a backup is never written", {
    hint: "restore it first: papyra backup restore --target <dir>",
  });
}
