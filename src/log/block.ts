// Verifying many lines at once. Each line states its checksum, so the checksum of a whole block of lines can be foretold
// from what the lines state, by the algebra of CRC-32 (shifting by a length is a linear map, as in zlib's crc32_combine);
// the block's bytes are then checked in one native call. If the two agree, every line verifies, as surely as line by line:
// an error in a line changes the block's checksum and not what is foretold. A call and a view for each line would cost
// more than all of this.
import { crc32 } from "node:zlib";
import { hasSuffix, SUFFIX_BYTES, verifies } from "./codec.ts";

const NEWLINE = 0x0a;
const POLYNOMIAL = 0xedb88320;
/** Line lengths whose shift is kept: 4 KiB each. Lines of other lengths are verified one by one. */
const SHIFTS_MAX = 1024;

/** a(x) * b(x) modulo the polynomial, bits reflected. */
function multiply(a: number, b: number): number {
  let product = 0;
  let factor = b;
  for (let bit = 0x80000000; bit !== 0; bit >>>= 1) {
    if ((a & bit) !== 0) product ^= factor;
    factor = (factor & 1) !== 0 ? (factor >>> 1) ^ POLYNOMIAL : factor >>> 1;
  }
  return product >>> 0;
}

/** x to the power of 8 * bytes, modulo the polynomial. */
function powerOf(bytes: number): number {
  let power = 0x80000000; // 1
  let square = 0x00800000; // x^8
  for (let n = bytes; n > 0; n >>>= 1) {
    if ((n & 1) !== 0) power = multiply(square, power);
    square = multiply(square, square);
  }
  return power;
}

/** What a checksum becomes when `bytes` zero-effect bytes follow: four tables, one a byte of the checksum. */
function shiftTable(bytes: number): Int32Array {
  const power = powerOf(bytes);
  const table = new Int32Array(1024);
  for (let byte = 0; byte < 4; byte++) {
    for (let bit = 0; bit < 8; bit++) {
      const value = multiply(power, (1 << (byte * 8 + bit)) >>> 0);
      const first = byte * 256 + (1 << bit);
      for (let low = 0; low < 1 << bit; low++) table[first + low] = (table[byte * 256 + low] as number) ^ value;
    }
  }
  return table;
}

const shifts = new Map<number, Int32Array>();

function shiftFor(bytes: number): Int32Array | undefined {
  const known = shifts.get(bytes);
  if (known !== undefined || shifts.size >= SHIFTS_MAX) return known;
  const made = shiftTable(bytes);
  shifts.set(bytes, made);
  return made;
}

function shift(table: Int32Array, crc: number): number {
  return (
    (table[crc & 255] as number) ^
    (table[256 + ((crc >>> 8) & 255)] as number) ^
    (table[512 + ((crc >>> 16) & 255)] as number) ^
    (table[768 + (crc >>> 24)] as number)
  );
}

const SUFFIX_SHIFT = shiftTable(SUFFIX_BYTES + 1);
const suffixCrc = (digits: string): number => crc32(`,"crc":"${digits}"}\n`);
const SUFFIX_ZERO = suffixCrc("00000000");
/** How the checksum of a suffix changes with the digit at each of the eight places. */
const DIGIT_EFFECT: Int32Array = Int32Array.from({ length: 128 }, (_, i) => {
  const digits = Array.from({ length: 8 }, () => "0");
  digits[i >>> 4] = (i & 15).toString(16);
  return suffixCrc(digits.join("")) ^ SUFFIX_ZERO;
});
/** The value of a lower-case hex digit by its code, or -1. */
const DIGIT: Int8Array = Int8Array.from({ length: 256 }, (_, code) =>
  "0123456789abcdef".indexOf(String.fromCharCode(code)),
);

/**
 * Whether every line of `bytes`, which ends with a line break, verifies under `seed`. When it does not, the lines have to
 * be looked at one by one.
 */
export function allVerify(seed: number, bytes: Buffer): boolean {
  let crc = 0;
  for (let start = 0; start < bytes.length; ) {
    const newline = bytes.indexOf(NEWLINE, start);
    const suffix = newline - SUFFIX_BYTES;
    if (suffix <= start || !hasSuffix(bytes, suffix)) return false;
    const table = shiftFor(suffix - start);
    if (table === undefined) {
      if (!verifies(seed, bytes, start, newline)) return false;
      crc = crc32(bytes.subarray(start, newline + 1), crc >>> 0);
    } else {
      let stated = 0;
      let effect = SUFFIX_ZERO;
      for (let place = 0; place < 8; place++) {
        const digit = DIGIT[bytes[suffix + 8 + place] as number] as number;
        if (digit < 0) return false;
        stated = (stated << 4) | digit;
        effect ^= DIGIT_EFFECT[(place << 4) | digit] as number;
      }
      crc = shift(SUFFIX_SHIFT, shift(table, crc ^ seed) ^ stated) ^ effect;
    }
    start = newline + 1;
  }
  return crc >>> 0 === crc32(bytes);
}
