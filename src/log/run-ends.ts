// The first and the last line of some lines, without their line breaks.
const NEWLINE = 0x0a;

export function firstLine(bytes: Buffer): Buffer {
  const end = bytes.indexOf(NEWLINE);
  return end < 0 ? bytes : bytes.subarray(0, end);
}

export function lastLine(bytes: Buffer): Buffer {
  const end = bytes.at(-1) === NEWLINE ? bytes.length - 1 : bytes.length;
  return bytes.subarray(bytes.lastIndexOf(NEWLINE, end - 1) + 1, end);
}
