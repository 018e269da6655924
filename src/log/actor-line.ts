// The first members of the line of a persistent actor, read without parsing it: what an index needs of a line that has
// verified. Payloads are the most of a log, and an index asks for none.
import { LINE_START } from "./codec.ts";

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const CLOSE = 0x7d;

const ascii = (text: string): Uint8Array => Uint8Array.from(text, (char) => char.charCodeAt(0));
const DURABLE = ascii('"durable":');
const JOURNAL = ascii('"kind":"journal","timestamp":');
const SNAPSHOT = ascii('"kind":"snapshot","timestamp":');
const SYSTEM = ascii(',"system_id":"');
const ID = ascii(',"persistence_id":"');
const REVISION = ascii(',"revision":');
const JOURNAL_SEQ = ascii(',"journal_seq":');

/**
 * Reads such lines one after the other. No step goes on behind a line break, and no line holds one. Members in another order,
 * or ids that are not plain ASCII, are left to who parses the line.
 */
export class ActorLineReader {
  seq = 0;
  revision = 0;
  /** Of a snapshot: the journal seq of its revision. Of a journal record: its own seq. */
  journalSeq = 0;
  persistenceId = "";
  #bytes: Uint8Array = new Uint8Array(0);
  #at = 0;

  /** Whether the line at `start` begins as this release writes it; then the fields hold what it says. */
  read(bytes: Buffer, start: number): boolean {
    this.#bytes = bytes;
    this.#at = start + LINE_START.length; // it has verified and is numbered
    this.seq = this.#number();
    if (bytes[this.#at++] !== COMMA) return false;
    if (this.#skip(DURABLE)) {
      this.#number();
      if (bytes[this.#at++] !== COMMA) return false;
    }
    if (!this.#skip(JOURNAL) && !this.#skip(SNAPSHOT)) return false;
    while (isOfNumber(bytes[this.#at])) this.#at += 1;
    if (!this.#skip(SYSTEM) || !this.#toQuote(0xff) || !this.#skip(ID)) return false;
    const from = this.#at;
    if (!this.#toQuote(0x7e)) return false;
    const to = this.#at - 1;
    if (!this.#skip(REVISION)) return false;
    this.revision = this.#number();
    this.journalSeq = this.#skip(JOURNAL_SEQ) ? this.#number() : this.seq;
    const next = bytes[this.#at];
    if (next !== COMMA && next !== CLOSE) return false;
    if (!this.#isSameId(from, to)) this.persistenceId = bytes.toString("latin1", from, to);
    return true;
  }

  // These three go on byte by byte, and so do not touch `this` at each.

  #number(): number {
    const bytes = this.#bytes;
    let at = this.#at;
    let value = 0;
    for (let code = bytes[at] as number; code >= 0x30 && code <= 0x39; code = bytes[++at] as number)
      value = value * 10 + (code - 0x30); // in this order: up to 2^53 nothing is rounded
    this.#at = at;
    return value;
  }

  /** Passes over a text that stands here. */
  #skip(text: Uint8Array): boolean {
    const bytes = this.#bytes;
    const at = this.#at;
    const { length } = text;
    for (let i = 0; i < length; i++) if (bytes[at + i] !== text[i]) return false;
    this.#at = at + length;
    return true;
  }

  /** Passes over the rest of a string without escapes, whose characters go up to `last`, and its quote. */
  #toQuote(last: number): boolean {
    const bytes = this.#bytes;
    for (let at = this.#at; ; at++) {
      const code = bytes[at];
      if (code === QUOTE) {
        this.#at = at + 1;
        return true;
      }
      if (code === undefined || code < 0x20 || code > last || code === BACKSLASH) return false;
    }
  }

  /** Often the line before is of the same actor: then the text is there already. */
  #isSameId(from: number, to: number): boolean {
    const { persistenceId } = this;
    if (persistenceId.length !== to - from) return false;
    const bytes = this.#bytes;
    for (let i = from; i < to; i++) if (persistenceId.charCodeAt(i - from) !== bytes[i]) return false;
    return true;
  }
}

/** The characters of numbers: digits, signs, a point, an exponent. */
function isOfNumber(code: number | undefined): boolean {
  return code !== undefined && ((code >= 0x2b && code <= 0x39 && code !== COMMA) || code === 0x45 || code === 0x65);
}
