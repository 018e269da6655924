// The records of one append as bytes: checked and encoded when they are handed in, so that nobody can change them while
// they wait, and numbered later.
import { PapyraError } from "../errors.ts";
import { JsonBytes } from "../log/json-bytes.ts";
import { KIND_OF_LOG, type NewRecord } from "../log/record.ts";

/** The longest that a line can be besides its fields: seq, durable, kind, time and checksum. */
export const ENVELOPE_BYTES = 128;

const KINDS: ReadonlySet<string> = new Set([...Object.values(KIND_OF_LOG), "gap"]);
/** What is larger is not kept to be used again. */
const SMALL_BYTES = 64 << 10;

export class EncodedRecords {
  readonly #fields = new JsonBytes();
  #count = 0;
  /** What is behind the count is of an earlier append. */
  readonly #kinds: string[] = [];
  /** Where the fields of each record end. */
  readonly #ends: number[] = [];

  get count(): number {
    return this.#count;
  }

  /** At most so many bytes of lines. */
  get bytes(): number {
    return this.#fields.length + this.#count * ENVELOPE_BYTES;
  }

  /** The fields of all records, one behind the other. */
  get fields(): Buffer {
    return this.#fields.bytes;
  }

  get isSmall(): boolean {
    return this.#fields.bytes.length <= SMALL_BYTES;
  }

  kindOf(record: number): string {
    return this.#kinds[record] as string;
  }

  startOf(record: number): number {
    return record === 0 ? 0 : (this.#ends[record - 1] as number);
  }

  endOf(record: number): number {
    return this.#ends[record] as number;
  }

  clear(): void {
    this.#fields.clear();
    this.#count = 0;
  }

  /** Rejects with RECORD_INVALID or RECORD_TOO_LARGE. */
  add(record: NewRecord, lineBytesMax: number): void {
    const { kind } = record;
    // Callers without types could otherwise write lines that verify and lie about themselves.
    if (!KINDS.has(kind))
      throw new PapyraError("RECORD_INVALID", `kind is ${JSON.stringify(kind)}, which is no kind of record`);
    if ("seq" in record || "durable" in record || "timestamp" in record || "crc" in record)
      throw new PapyraError(
        "RECORD_INVALID",
        "seq, durable, timestamp and crc are given by the store, not by the record",
      );
    this.#fields.members(record, "kind");
    const bytes = this.#fields.length - this.startOf(this.#count) + ENVELOPE_BYTES;
    if (bytes > lineBytesMax) {
      throw new PapyraError(
        "RECORD_TOO_LARGE",
        `a ${kind} record of about ${bytes} bytes is longer than a line may be (${lineBytesMax})`,
        {
          hint: "store large content elsewhere and keep a reference, or raise lineBytesMax (at most 16 MiB)",
          details: { bytes, lineBytesMax },
        },
      );
    }
    this.#kinds[this.#count] = kind;
    this.#ends[this.#count] = this.#fields.length;
    this.#count += 1;
  }
}
