import { createHash, randomBytes } from "node:crypto";
import { expect, test } from "vitest";
import { LINE_BYTES_MAX } from "../../src/log/codec.ts";
import { SegmentHash } from "../../src/log/segment-hash.ts";

const sha256 = (bytes: Buffer): string => createHash("sha256").update(bytes).digest("hex");

/** Feeds lines in chunks of a size, and asks for the digest before the line that ends in each chunk last. */
function digests(bytes: Buffer, chunkBytes: number): Map<number, string> {
  const hash = new SegmentHash();
  const found = new Map<number, string>();
  let lineStart = 0;
  for (let at = 0; at < bytes.length; at += chunkBytes) {
    const chunk = Buffer.from(bytes.subarray(at, at + chunkBytes));
    hash.begin(chunk);
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, end + 1)) {
      found.set(lineStart, hash.before(lineStart));
      lineStart = at + end + 1;
    }
    hash.end(lineStart);
    chunk.fill(0x58); // its reader uses it again
  }
  found.set(lineStart, hash.before(lineStart));
  return found;
}

test.each([1, 2, 3, 7, 64, 100, 1000, 100_000])("before every line, in chunks of %d bytes", (chunkBytes) => {
  const lines = Array.from({ length: 50 }, (_, i) => Buffer.from(`${"x".repeat((i * 37) % 90)}${i}\n`));
  const bytes = Buffer.concat([...lines, Buffer.from("no line break")]);
  const found = digests(bytes, chunkBytes);
  expect(found.size).toBe(51);
  for (const [offset, digest] of found) expect(digest).toBe(sha256(bytes.subarray(0, offset)));
});

test("a line that is longer than any may be is not held, and what follows is right", () => {
  const long = Buffer.concat([
    Buffer.from("a\n"),
    Buffer.alloc(LINE_BYTES_MAX + 5_000_000, randomBytes(7).toString("hex")),
  ]);
  const bytes = Buffer.concat([long, Buffer.from("\nlast\n")]);
  const hash = new SegmentHash();
  for (let at = 0; at < bytes.length; at += 1 << 20) {
    const chunk = bytes.subarray(at, at + (1 << 20));
    hash.begin(chunk);
    const last = at + chunk.length === bytes.length;
    if (last) expect(hash.before(long.length + 1)).toBe(sha256(bytes.subarray(0, long.length + 1)));
    hash.end(last ? bytes.length : 2);
  }
  expect(hash.before(bytes.length)).toBe(sha256(bytes));
});
