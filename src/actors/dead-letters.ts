// Messages that reached nobody, as data and as records. What JSON cannot hold is never changed to something else: a
// description of what it was takes its place, and says so. Nothing here throws, whatever the message is.
import { encodeFields } from "../log/codec.ts";
import type { NewRecord } from "../log/record.ts";
import { caught } from "./caught.ts";

/** A message that reached nobody. */
export interface DeadLetter {
  readonly type: "DeadLetter";
  /** The address it was sent to. */
  readonly target: string;
  readonly message: unknown;
  readonly messageType: string;
  /** Why nobody got it: "actor stopped", "actor stopping", "mailbox full", "refused: ..." for what cannot be stored. */
  readonly reason: string;
}

/** Descriptions are kept short, so that a description always fits where the thing itself does not. */
const TYPE_CHARS_MAX = 200;
/** More than number, time and checksum take of a line. */
const FRAME_BYTES = 256;

/** A message's own `type`, or else the name of its class, or else of its JavaScript type. */
export function messageTypeOf(message: unknown): string {
  if (message === null) return "null";
  if (typeof message !== "object") return typeof message;
  try {
    const { type } = message as { type?: unknown };
    if (typeof type === "string" && type !== "") return type.slice(0, TYPE_CHARS_MAX);
    const name: unknown = (message.constructor as { name?: unknown } | undefined)?.name;
    return typeof name === "string" && name !== "" ? name.slice(0, TYPE_CHARS_MAX) : "object";
  } catch {
    return "object"; // a getter or proxy that throws: the payload says more
  }
}

/** The record of a dead letter, which fits into a line of `lineBytesMax`. */
export function deadLetterRecord(systemId: string, letter: DeadLetter, lineBytesMax: number): NewRecord {
  const { target, messageType, reason } = letter;
  const fields = { system_id: systemId, target, message_type: messageType, reason };
  const bytesMax = lineBytesMax - Buffer.byteLength(encodeFields(fields)) - FRAME_BYTES;
  return { kind: "dead_letter", ...fields, payload: storable(letter.message, bytesMax) };
}

/** A message as it is, or `{ unstorable: why }`. */
function storable(message: unknown, bytesMax: number): unknown {
  if (message === undefined) return { unstorable: "payload is undefined, which JSON cannot hold unchanged" };
  try {
    const bytes = Buffer.byteLength(encodeFields({ payload: message }));
    if (bytes <= bytesMax) return message;
    return { unstorable: `payload takes ${bytes} bytes, more than a line may hold` };
  } catch (thrown) {
    // Not only what the codec refuses: the message may have getters of its own that throw.
    return { unstorable: caught(thrown).message.slice(0, TYPE_CHARS_MAX) };
  }
}
