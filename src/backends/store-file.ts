// papyra.json: who the store is. It can be lost without losing data: the logs say the same in their first lines.
import { crc32 } from "node:zlib";
import { PapyraError } from "../errors.ts";
import { parseObject } from "../log/codec.ts";
import { statedIdentity } from "../log/identity.ts";
import { type Ancestor, lineagesFrom } from "../log/lineage.ts";
import { FORMAT_VERSION } from "../log/record.ts";
import type { StoreIdentity } from "./backend.ts";

export function encodeStoreFile(identity: StoreIdentity): Buffer {
  const { store, lineage, parent, createdMs, ancestors } = identity;
  const fields = { papyra: FORMAT_VERSION, store, lineage, parent, created: createdMs / 1000, ancestors };
  const body = JSON.stringify(fields).slice(0, -1);
  return Buffer.from(`${body},"crc":"${crc32(body).toString(16).padStart(8, "0")}"}\n`);
}

/** The identity, or undefined when the bytes are damaged. Rejects with FORMAT_UNKNOWN for a version of a later release. */
export function decodeStoreFile(bytes: Buffer, path: string): StoreIdentity | undefined {
  const suffix = bytes.lastIndexOf(',"crc":"');
  const fields = parseObject(bytes);
  if (suffix < 0 || fields === undefined) return undefined;
  const crc = crc32(bytes.subarray(0, suffix)).toString(16).padStart(8, "0");
  if (bytes.subarray(suffix).toString("latin1") !== `,"crc":"${crc}"}\n`) return undefined;
  if (fields.papyra !== FORMAT_VERSION) {
    throw new PapyraError(
      "FORMAT_UNKNOWN",
      `${path} has format version ${JSON.stringify(fields.papyra)}; this release knows ${FORMAT_VERSION}`,
      {
        hint: "use the release of Papyra that wrote it",
        details: { path, version: fields.papyra },
      },
    );
  }
  const { store, lineage, parent, created, ancestors } = fields;
  if (typeof store !== "string" || typeof lineage !== "string" || typeof created !== "number") return undefined;
  const identity = { store, lineage, createdMs: Math.round(created * 1000) };
  // The checksum says that this is what was written, and only ancestors are written there.
  const before = Array.isArray(ancestors) ? { ancestors: ancestors as Ancestor[] } : {};
  return { ...identity, parent: typeof parent === "string" ? parent : null, ...before };
}

/** The identity that the logs' first lines tell of, of those that their own lines do not contradict. */
export function identityFromHeads(heads: readonly Buffer[]): StoreIdentity | undefined {
  const lineages = lineagesFrom(heads.map(statedIdentity).filter((identity) => identity !== undefined));
  if (lineages === undefined) return undefined;
  return { ...lineages, parent: lineages.ancestors?.at(-1)?.lineage ?? null, createdMs: 0 };
}
