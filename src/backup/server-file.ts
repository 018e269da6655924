// A file of a server in a repository: its bytes in parts, as those of a segment.
import { createHash } from "node:crypto";
import { PapyraError } from "../errors.ts";
import { type Manifest, type Part, partName, type ServerFile } from "./manifest.ts";
import { getUnjudged, type ObjectStore } from "./objects.ts";
import { PartSink, PartWriter } from "./parts.ts";
import { sha256Of } from "./sealed-json.ts";

/** A backup that is a file of a server. */
export type FileManifest = Manifest & { readonly server_file: ServerFile };

export function isFileBackup(manifest: Manifest): manifest is FileManifest {
  return manifest.server_file !== undefined;
}

export interface StoredFile {
  readonly parts: readonly Part[];
  readonly bytes: number;
  readonly sha256: string;
  /** Of these, what was not there yet. */
  readonly storedBytes: number;
}

export async function storeServerFile(objects: ObjectStore, chunks: AsyncIterable<Uint8Array>): Promise<StoredFile> {
  const sink = new PartSink(objects);
  const writer = new PartWriter(sink, "rdb", { stored: [], known: [] });
  const whole = createHash("sha256");
  for await (const chunk of chunks) {
    whole.update(chunk);
    await writer.push(chunk);
  }
  const parts = await writer.end();
  return { parts, bytes: writer.offset, sha256: whole.digest("hex"), storedBytes: sink.storedBytes };
}

/** Every byte, verified before it is given out. Rejects with BACKUP_DAMAGED. */
export async function* readServerFile(
  objects: ObjectStore,
  { id, server_file: { parts, sha256 } }: FileManifest,
): AsyncGenerator<Uint8Array, void, undefined> {
  const whole = createHash("sha256");
  for (const part of parts) {
    const name = partName("rdb", part);
    const bytes = await getUnjudged(objects, name);
    if (bytes === undefined || sha256Of(bytes) !== part.sha256)
      throw damaged(id, `${name} ${bytes === undefined ? "is gone" : "is not what was stored"}`);
    whole.update(bytes);
    yield bytes;
  }
  if (whole.digest("hex") !== sha256) throw damaged(id, "its parts together are not the file that was stored");
}

function damaged(id: string, what: string): PapyraError {
  return new PapyraError("BACKUP_DAMAGED", `backup ${id}: ${what}`, {
    hint: "use another backup: papyra backup list",
    details: { backup: id },
  });
}
