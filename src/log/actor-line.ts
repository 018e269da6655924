// The line of a persistent actor that has verified, read member by member: an index needs only the first ones, and of an event
// that is applied again everything but the payload can be read for a fraction of what parsing the line costs.
import { LINE_START, SUFFIX_BYTES } from "./codec.ts";
import { FixedText } from "./fixed-text.ts";
import { isAt, KnownTexts } from "./known-texts.ts";
import type { ReplayRecord } from "./record.ts";

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const CLOSE = 0x7d;
const CLOSE_LIST = 0x5d;
const POINT = 0x2e;

const DURABLE = new FixedText(',"durable":');
const JOURNAL = new FixedText(',"kind":"journal","timestamp":');
const SNAPSHOT = new FixedText(',"kind":"snapshot","timestamp":');
const SYSTEM = new FixedText(',"system_id":"');
const ID = new FixedText(',"persistence_id":"');
const REVISION = new FixedText(',"revision":');
const JOURNAL_SEQ = new FixedText(',"journal_seq":');
const EVENT_TYPE = new FixedText(',"event_type":"');
const VERSION = new FixedText(',"version":');
const GROUP = new FixedText(',"group":[');
const MESSAGE_ID = new FixedText(',"message_id":"');
const CORRELATION_ID = new FixedText(',"correlation_id":"');
const PAYLOAD = new FixedText(',"payload":');

/** Stands in no line. */
const NOWHERE = "\n\n\n\n";

/**
 * So many digits make a number that needs no fraction and no more than 32 bits. Whole numbers up to 2^53 and powers of ten are
 * held exactly, so that dividing the one by the other rounds once, as parsing the text does.
 */
const EXACT_DIGITS = 9;
const POWERS: readonly number[] = Array.from({ length: EXACT_DIGITS + 1 }, (_, power) => 10 ** power);

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
  /** What said whose lines they are where two followed each other that were of one actor: then more of them often come. */
  readonly #sameActor = new FixedText(NOWHERE);
  #actorId = "";
  #eventType = "";
  #version = 0;
  readonly #types = new KnownTexts(16);
  #bytes: Buffer = Buffer.alloc(0);
  #view: DataView = new DataView(new ArrayBuffer(0));
  /** Where the members of the line go on. */
  #at = 0;
  #timestampAt = 0;
  #isEvent = false;

  /** Whether the line at `start` begins as this release writes it; then the fields hold what it says. */
  read(bytes: Buffer, start: number): boolean {
    if (bytes !== this.#bytes) {
      this.#bytes = bytes;
      this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    }
    const view = this.#view;
    let from = start + LINE_START.length; // it has verified and is numbered
    let to = digitsEnd(bytes, from);
    const seq = wholeNumber(bytes, from, to);
    if ((from = DURABLE.endAt(view, to)) >= 0) {
      to = digitsEnd(bytes, from);
      if (wholeNumber(bytes, from, to) < 0) return false;
    }
    this.#isEvent = (from = JOURNAL.endAt(view, to)) >= 0;
    if (!this.#isEvent && (from = SNAPSHOT.endAt(view, to)) < 0) return false;
    this.#timestampAt = from;
    while (isOfNumber(bytes[from])) from += 1;
    if ((from = this.#actor(bytes, from)) < 0) return false;
    to = digitsEnd(bytes, from);
    const revision = wholeNumber(bytes, from, to);
    let journalSeq = seq;
    if ((from = JOURNAL_SEQ.endAt(view, to)) >= 0) {
      to = digitsEnd(bytes, from);
      journalSeq = wholeNumber(bytes, from, to);
    } else if (!this.#isEvent) return false; // it stands elsewhere
    if (seq < 0 || revision < 0 || journalSeq < 0 || (bytes[to] !== COMMA && bytes[to] !== CLOSE)) return false;
    this.#at = to;
    this.seq = seq;
    this.revision = revision;
    this.journalSeq = journalSeq;
    return true;
  }

  /** Reads the members that say whose line it is; returns where the revision begins, or -1. */
  #actor(bytes: Buffer, at: number): number {
    const view = this.#view;
    const again = this.#sameActor.endAt(view, at);
    if (again >= 0) {
      this.persistenceId = this.#actorId;
      return again;
    }
    let to = SYSTEM.endAt(view, at);
    if (to < 0 || (to = stringEnd(bytes, to, 0xff)) < 0) return -1;
    const from = ID.endAt(view, to);
    if (from < 0 || (to = stringEnd(bytes, from, 0x7e)) < 0) return -1;
    const end = REVISION.endAt(view, to);
    if (end < 0) return -1;
    if (isAt(bytes, from, to - 1, this.persistenceId)) {
      this.#sameActor.become(view, at, end);
      this.#actorId = this.persistenceId;
    } else this.persistenceId = bytes.toString("latin1", from, to - 1);
    return end;
  }

  /**
   * The event in the line at `start` whose line break stands at `end`, as parsing it would give it; undefined where that takes
   * parsing it. Only the payload is parsed.
   */
  event(bytes: Buffer, start: number, end: number): ReplayRecord | undefined {
    if (!this.read(bytes, start) || !this.#isEvent) return undefined;
    const view = this.#view;
    const timestamp = decimal(bytes, this.#timestampAt);
    let to = this.#what(bytes, this.#at);
    if (timestamp < 0 || to < 0) return undefined;
    let from = GROUP.endAt(view, to);
    let group: readonly [number, number] | undefined;
    if (from >= 0) {
      if ((group = pair(bytes, from)) === undefined) return undefined;
      to = bytes.indexOf(CLOSE_LIST, from) + 1;
    }
    if ((from = MESSAGE_ID.endAt(view, to)) >= 0 && (to = stringEnd(bytes, from, 0xff)) < 0) return undefined;
    if ((from = CORRELATION_ID.endAt(view, to)) >= 0 && (to = stringEnd(bytes, from, 0xff)) < 0) return undefined;
    if ((from = PAYLOAD.endAt(view, to)) < 0) return undefined;
    const payload = parsed(bytes, from, end - SUFFIX_BYTES);
    if (payload === undefined) return undefined;
    const kind = "journal";
    const { seq, persistenceId: persistence_id, revision } = this;
    const [event_type, version] = [this.#eventType, this.#version];
    // Two kinds of objects, each made at once: adding a member to one that is there costs more than all the others.
    return group === undefined
      ? { seq, kind, timestamp, persistence_id, revision, event_type, version, payload }
      : { seq, kind, timestamp, persistence_id, revision, event_type, version, group, payload };
  }

  /** Reads the members that say what kind of event it is; returns where they end, or -1. */
  #what(bytes: Buffer, at: number): number {
    const view = this.#view;
    const from = EVENT_TYPE.endAt(view, at);
    const to = from < 0 ? -1 : stringEnd(bytes, from, 0x7e);
    const digits = to < 0 ? -1 : VERSION.endAt(view, to);
    if (digits < 0) return -1;
    const end = digitsEnd(bytes, digits);
    this.#eventType = this.#types.at(bytes, from, to - 1);
    this.#version = wholeNumber(bytes, digits, end);
    return this.#version < 0 ? -1 : end;
  }
}

function digitsEnd(bytes: Buffer, from: number): number {
  let at = from;
  for (let code = bytes[at] as number; code >= 0x30 && code <= 0x39; code = bytes[++at] as number);
  return at;
}

/** The whole number that these digits are, as JSON writes it; -1 for anything else, and for one that is not held exactly. */
function wholeNumber(bytes: Buffer, from: number, to: number): number {
  if (to <= from || (bytes[from] === 0x30 && to - from > 1)) return -1;
  return digitsAt(bytes, from, to);
}

/** The value of digits; -1 if it is not held exactly. */
function digitsAt(bytes: Buffer, from: number, to: number): number {
  const middle = to - from <= EXACT_DIGITS ? to : from + EXACT_DIGITS;
  let value = 0;
  for (let at = from; at < middle; at++) value = value * 10 + ((bytes[at] as number) - 0x30);
  if (middle === to) return value;
  if (to - middle > EXACT_DIGITS) return -1;
  let rest = 0;
  for (let at = middle; at < to; at++) rest = rest * 10 + ((bytes[at] as number) - 0x30);
  const whole = value * (POWERS[to - middle] as number) + rest;
  return whole > Number.MAX_SAFE_INTEGER ? -1 : whole;
}

/** A number with digits behind a point or without, and a comma behind it. */
function decimal(bytes: Buffer, from: number): number {
  const point = digitsEnd(bytes, from);
  const whole = wholeNumber(bytes, from, point);
  if (whole < 0 || bytes[point] === COMMA) return whole;
  const to = digitsEnd(bytes, point + 1);
  const digits = to - point - 1;
  if (bytes[point] !== POINT || bytes[to] !== COMMA || digits === 0 || digits > EXACT_DIGITS) return -1;
  const power = POWERS[digits] as number;
  const value = whole * power + digitsAt(bytes, point + 1, to);
  return value > Number.MAX_SAFE_INTEGER ? -1 : value / power;
}

/** A list of two whole numbers, from behind its bracket. */
function pair(bytes: Buffer, from: number): readonly [number, number] | undefined {
  const comma = digitsEnd(bytes, from);
  const to = digitsEnd(bytes, comma + 1);
  const [first, second] = [wholeNumber(bytes, from, comma), wholeNumber(bytes, comma + 1, to)];
  const whole = bytes[comma] === COMMA && bytes[to] === CLOSE_LIST && first >= 0 && second >= 0;
  return whole ? [first, second] : undefined;
}

/** The end of a string without escapes, behind its quote, whose characters go up to `last`; else -1. */
function stringEnd(bytes: Buffer, from: number, last: number): number {
  for (let at = from; ; at++) {
    const code = bytes[at];
    if (code === QUOTE) return at + 1;
    if (code === undefined || code < 0x20 || code > last || code === BACKSLASH) return -1;
  }
}

/** The characters of numbers: digits, signs, a point, an exponent. */
function isOfNumber(code: number | undefined): boolean {
  return code !== undefined && ((code >= 0x2b && code <= 0x39 && code !== COMMA) || code === 0x45 || code === 0x65);
}

/** What a payload says; undefined if these bytes are not the text of one value, as when other members follow it. */
function parsed(bytes: Buffer, from: number, to: number): unknown {
  try {
    return JSON.parse(bytes.toString("utf8", from, to));
  } catch {
    return undefined; // who parses the whole line finds out more
  }
}
