// CRC-32 of a stretch of bytes. zlib's is native and fastest for much; for a line the call and the view that it needs cost
// more than the bytes, so that short stretches are done here, eight bytes a step (Intel's "slicing by 8").
import { crc32 } from "node:zlib";

const POLYNOMIAL = 0xedb88320;
/** From here on the native call is faster. */
const NATIVE_BYTES = 1024;

/** `table(k)[b]` is what byte `b` does to the checksum when `k` more bytes follow it. */
const tables: readonly Int32Array[] = Array.from({ length: 8 }, () => new Int32Array(256));
for (let byte = 0; byte < 256; byte++) {
  let crc = byte;
  for (let follow = 0; follow < 8; follow++) {
    for (let bit = 0; bit < 8; bit++) crc = (crc & 1) !== 0 ? (crc >>> 1) ^ POLYNOMIAL : crc >>> 1;
    (tables[follow] as Int32Array)[byte] = crc;
  }
}
type Table = Int32Array;
const [T0, T1, T2, T3, T4, T5, T6, T7] = tables as [Table, Table, Table, Table, Table, Table, Table, Table];

/** The checksum of the bytes `[start, end)` of a view, going on from `seed`: the same as zlib's. */
export function crcOf(view: DataView, start: number, end: number, seed: number): number {
  if (end - start >= NATIVE_BYTES)
    return crc32(new Uint8Array(view.buffer, view.byteOffset + start, end - start), seed);
  let crc = ~seed;
  let at = start;
  for (; end - at >= 8; at += 8) {
    const low = crc ^ view.getInt32(at, true);
    const high = view.getInt32(at + 4, true);
    crc =
      (T7[low & 255] as number) ^
      (T6[(low >>> 8) & 255] as number) ^
      (T5[(low >>> 16) & 255] as number) ^
      (T4[low >>> 24] as number) ^
      (T3[high & 255] as number) ^
      (T2[(high >>> 8) & 255] as number) ^
      (T1[(high >>> 16) & 255] as number) ^
      (T0[high >>> 24] as number);
  }
  for (; at < end; at++) crc = (T0[(crc ^ view.getUint8(at)) & 255] as number) ^ (crc >>> 8);
  return ~crc >>> 0;
}
