// What stands behind the last whole command of an append-only file: one that was being written when the file ended, or damage. PURE.
// A server tells them apart by whether the bytes end too early; a length that was damaged makes all that follows look like that.

const CR = 0x0d;
const LF = 0x0a;
/** The beginning of a command behind the end of an argument. */
const COMMAND_BEHIND = /\r\n\*\d{1,9}\r\n\$\d{1,9}\r\n/;

/** `whole`: the bytes reach to the end of the file. */
export function judgeTail(bytes: Buffer, whole: boolean): "unfinished" | "damaged" {
  let at = 0;
  while (at < bytes.length) {
    const end = endOfCommand(bytes, at);
    if (end === "damaged") return "damaged";
    if (end === "unfinished")
      return whole && !COMMAND_BEHIND.test(bytes.toString("latin1", at)) ? "unfinished" : "damaged";
    at = end; // whole commands of a transaction that has no end
  }
  return whole ? "unfinished" : "damaged";
}

function endOfCommand(bytes: Buffer, start: number): number | "unfinished" | "damaged" {
  const count = numberAt(bytes, start, "*");
  if (typeof count === "string") return count;
  let at = count.end;
  for (let i = 0; i < count.value; i++) {
    const length = numberAt(bytes, at, "$");
    if (typeof length === "string") return length;
    at = length.end + length.value;
    for (const expected of [CR, LF]) {
      if (at >= bytes.length) return "unfinished";
      if (bytes[at] !== expected) return "damaged";
      at += 1;
    }
  }
  return at;
}

/** `*12\r\n`, or as much of it as there is. */
function numberAt(
  bytes: Buffer,
  at: number,
  sign: "*" | "$",
): { readonly value: number; readonly end: number } | "unfinished" | "damaged" {
  const text = bytes.toString("latin1", at, at + 16);
  const [, digits] = /^[*$](\d{1,10})\r\n/.exec(text) ?? [];
  if (digits !== undefined && text.startsWith(sign)) return { value: Number(digits), end: at + digits.length + 3 };
  const begun = text === "" || (text.startsWith(sign) && /^.(?:\d{0,10}|\d{1,10}\r)$/.test(text));
  return begun ? "unfinished" : "damaged";
}
