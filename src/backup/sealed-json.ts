// A JSON object as one line that proves itself: its last member is the SHA-256 of the bytes before it. Pure.
import { createHash } from "node:crypto";
import { parseObject } from "../log/codec.ts";

const SUFFIX = /,"sha256":"([0-9a-f]{64})"\}\n$/;
/** Bytes of `,"sha256":"<64 digits>"}` and a line break. */
const SUFFIX_BYTES = 78;

export function sha256Of(bytes: Uint8Array | string): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** `fields` must not be empty. */
export function encodeSealed(fields: object): Buffer {
  const body = JSON.stringify(fields).slice(0, -1);
  return Buffer.from(`${body},"sha256":"${sha256Of(body)}"}\n`);
}

/** What is in it, or undefined when a byte of it is not what was written. */
export function decodeSealed(bytes: Buffer): Readonly<Record<string, unknown>> | undefined {
  const at = bytes.length - SUFFIX_BYTES;
  const [, stated] = SUFFIX.exec(bytes.subarray(Math.max(0, at)).toString("latin1")) ?? [];
  if (stated === undefined || sha256Of(bytes.subarray(0, at)) !== stated) return undefined;
  return parseObject(bytes);
}
