// The history of one actor, put together from its journal records in the order of their seqs: which of them count, and
// whether any are missing. Pure; recovery, replay and verification share it, so that they can never disagree.
//
// - Revisions are contiguous from 1, or from the snapshot that is the base.
// - The events of one command are one group: all of them count, or none.
// - A group whose end was never written is void: the write was torn, nobody was promised anything, and the next command
//   takes its revisions again. Members that were written and are missing now are damage.
import type { Location } from "../backends/locate.ts";
import { PapyraError } from "../errors.ts";
import type { SeqRange } from "../log/anomaly.ts";
import { countOf, intersect, normalise } from "../log/ranges.ts";
import type { ReplayRecord } from "../log/record.ts";
import { type Absences, absencesOf, BEGINNING, NOTHING_ABSENT, type Position } from "./absences.ts";

export { type Absences, absencesOf, NOTHING_ABSENT, BEGINNING, type Position };

/** "stop" at every hole; "accept" those that a gap record accounts for as lost or quarantined. */
export type HistoryGaps = "stop" | "accept";

export interface HistoryOptions {
  readonly absences: Absences;
  /** What is known already: records up to this seq are passed over. Default: nothing. */
  readonly base?: Position;
  readonly gaps?: HistoryGaps;
  /** The command that shows the damage. */
  readonly hint?: string;
}

interface Member {
  readonly record: ReplayRecord;
  readonly at: Location | undefined;
}

const HINT = "run: papyra persistence scan, then papyra persistence recover --mode quarantine";

/** Puts the history of one actor together. */
export class ActorHistory {
  readonly persistenceId: string;
  readonly #absences: Absences;
  readonly #gaps: HistoryGaps;
  readonly #hint: string;
  readonly #base: Position;
  #revision: number;
  #seq: number;
  /** The members so far of a group that has no end yet. */
  #open: Member[] = [];
  /** Where the group began that was given up last, on request: its remaining members do not count. */
  #skippedFrom = 0;
  #accepted = 0;

  constructor(persistenceId: string, options: HistoryOptions) {
    this.persistenceId = persistenceId;
    this.#absences = options.absences;
    this.#gaps = options.gaps ?? "stop";
    this.#hint = options.hint ?? HINT;
    this.#base = options.base ?? BEGINNING;
    this.#revision = this.#base.revision;
    this.#seq = this.#base.seq;
  }

  /** The last revision that counts. */
  get revision(): number {
    return this.#revision;
  }

  /** The seq of the last record that was taken in. */
  get seq(): number {
    return this.#seq;
  }

  /** How many revisions are missing that were accepted as lost. */
  get acceptedRevisions(): number {
    return this.#accepted;
  }

  /**
   * Takes in the actor's next record and returns those that count from now on: none in the middle of a group.
   * Rejects with HISTORY_DAMAGED where the history is not whole; it must not be fed any further then.
   */
  push(record: ReplayRecord, at?: Location): readonly ReplayRecord[] {
    const { seq } = record;
    if (seq <= this.#base.seq) return [];
    if (!isJournalRecord(record)) throw this.#damaged(seq, at, undefined, "is not a journal record of this release");
    if (record.persistence_id !== this.persistenceId) {
      throw this.#damaged(record.seq, at, undefined, `belongs to ${record.persistence_id}`);
    }
    if (record.seq <= this.#seq) {
      throw this.#damaged(record.seq, at, undefined, `stands behind seq ${this.#seq} of the same actor`);
    }
    const member = { record, at };
    if (this.#open.length > 0 && this.#continuesGroup(record)) return this.#extend(member);
    return this.#begin(member);
  }

  /**
   * The journal ends at `lastSeq`. `reach` is what something outside the journal, a snapshot, says that it must hold.
   * Rejects with HISTORY_DAMAGED when the end of the history is missing.
   */
  end(reach: Position = BEGINNING): void {
    const first = this.#open[0];
    if (first !== undefined) {
      const last = this.#open[this.#open.length - 1] as Member;
      const size = sizeOf(first.record);
      const rest = { from: last.record.seq + 1, to: first.record.seq + size - 1 };
      const revisions = { from: first.record.revision, to: first.record.revision + size - 1 };
      if (this.#isAbsent(rest)) this.#acceptOrThrow(revisions, rest, 1, last);
      this.#open = [];
    }
    for (const known of [reach, this.#absences.reached?.get(this.persistenceId) ?? BEGINNING]) {
      if (known.revision <= this.#revision) continue;
      const revisions = { from: this.#revision + 1, to: known.revision };
      this.#acceptOrThrow(revisions, { from: this.#seq + 1, to: known.seq }, 1, undefined);
      this.#seq = Math.max(this.#seq, known.seq);
      this.#revision = known.revision; // never used again
    }
  }

  #continuesGroup(record: ReplayRecord): boolean {
    const last = (this.#open[this.#open.length - 1] as Member).record;
    return (
      positionOf(record) === positionOf(last) + 1 &&
      sizeOf(record) === sizeOf(last) &&
      record.revision === last.revision + 1 &&
      record.seq === last.seq + 1
    );
  }

  #extend(member: Member): readonly ReplayRecord[] {
    this.#open.push(member);
    this.#seq = member.record.seq;
    if (this.#open.length < sizeOf(member.record)) return [];
    const counting = this.#open.map((each) => each.record);
    this.#open = [];
    this.#revision = member.record.revision;
    return counting;
  }

  /** A record that does not go on with an open group: if there is one, it will never be whole. */
  #begin(member: Member): readonly ReplayRecord[] {
    const { record } = member;
    const position = positionOf(record);
    const groupSeq = record.seq - position + 1;
    if (position > 1 && groupSeq === this.#skippedFrom) {
      this.#seq = record.seq;
      return [];
    }
    // An open group is void exactly if this record takes its revisions again: its writer saw the torn end. If not, the
    // revisions of the group are missing like any others.
    const before = this.#open.length === 0 ? this.#seq : (this.#open[this.#open.length - 1] as Member).record.seq;
    this.#assertFollows(member, before);
    this.#open = [];
    this.#seq = record.seq;
    if (position > 1) return this.#skipGroup(record, groupSeq);
    if (sizeOf(record) > 1) {
      this.#open = [member];
      return [];
    }
    this.#revision = record.revision;
    return [record];
  }

  #assertFollows({ record, at }: Member, before: number): void {
    const expected = this.#revision + 1;
    if (record.revision < expected) {
      const detail = `has revision ${record.revision}, which stands there already: two writers, or a copy`;
      throw this.#damaged(record.seq, at, { from: record.revision, to: this.#revision }, detail);
    }
    if (record.revision === expected && positionOf(record) === 1) return;
    const revisions = { from: expected, to: Math.max(expected, record.revision - 1) };
    // Of an open group it cannot be told how many members were written: one that is lost is enough to be its end.
    const first = this.#open[0];
    const known = first === undefined ? expected : first.record.revision + sizeOf(first.record);
    const needed = Math.max(1, record.revision - known);
    this.#acceptOrThrow(revisions, { from: before + 1, to: record.seq - 1 }, needed, { record, at });
  }

  /** The first members of a group are lost, and that was accepted: the others do not count either. */
  #skipGroup(record: ReplayRecord, groupSeq: number): readonly ReplayRecord[] {
    this.#skippedFrom = groupSeq;
    this.#revision = record.revision - positionOf(record) + sizeOf(record);
    return [];
  }

  #isAbsent(range: SeqRange): boolean {
    const { missing, lost, compacted } = this.#absences;
    return [missing, lost, compacted].some((ranges) => intersect(ranges, [range]).length > 0);
  }

  /** Revisions are missing, and `needed` records of them within `seqs`. */
  #acceptOrThrow(revisions: SeqRange, seqs: SeqRange, needed: number, next: Member | undefined): void {
    const within = (ranges: readonly SeqRange[]): number => countOf(intersect(ranges, normalise([seqs])));
    const missing = within(this.#absences.missing);
    const lost = within(this.#absences.lost);
    const compacted = within(this.#absences.compacted);
    if (this.#gaps === "accept" && missing === 0 && lost >= needed) {
      this.#accepted += revisions.to - revisions.from + 1;
      this.#revision = revisions.to;
      return;
    }
    const why =
      missing > 0
        ? "the journal is damaged there"
        : lost > 0
          ? "recovery found them lost, as a gap record says"
          : compacted > 0
            ? "they were compacted, and the snapshot that covers them is missing or broken"
            : "no record is missing there, so they were never written: two histories were mixed";
    throw this.#damaged(next?.record.seq, next?.at, revisions, `follows a hole: ${why}`, lost > 0 && missing === 0);
  }

  #damaged(
    seq: number | undefined,
    at: Location | undefined,
    revisions: SeqRange | undefined,
    detail: string,
    acceptable = false,
  ): PapyraError {
    const which = revisions && `revision ${revisions.from} to ${revisions.to} are missing or wrong`;
    const record = seq === undefined ? "what a snapshot has seen" : `the record of seq ${seq}`;
    const place = at && `${at.segment}, byte ${at.offset}`;
    const where = place === undefined ? record : `${record} (${place})`;
    const accept = 'to go on without them, set `historyGaps: "accept"` in its definition, or restore it from a backup';
    return new PapyraError(
      "HISTORY_DAMAGED",
      `the history of ${this.persistenceId} is not whole: ${which === undefined ? "" : `${which}; `}${where} ${detail}`,
      {
        hint: acceptable ? accept : this.#hint,
        details: {
          persistenceId: this.persistenceId,
          fromRevision: revisions?.from,
          toRevision: revisions?.to,
          seq,
          file: at?.segment,
          offset: at?.offset,
        },
      },
    );
  }
}

function positionOf(record: ReplayRecord): number {
  return record.group?.[0] ?? 1;
}

function sizeOf(record: ReplayRecord): number {
  return record.group?.[1] ?? 1;
}

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 1;

/** Whether a verified line holds what a journal record must: another program may have written it. */
export function isJournalRecord(record: { readonly kind: string; readonly seq: number }): record is ReplayRecord {
  if (record.kind !== "journal") return false;
  const { persistence_id, revision, event_type, version, group } = record as Partial<ReplayRecord>;
  if (typeof persistence_id !== "string" || typeof event_type !== "string") return false;
  if (!isCount(revision) || !isCount(version)) return false;
  if (group === undefined) return true;
  return Array.isArray(group) && isCount(group[0]) && isCount(group[1]) && group[1] > 1 && group[0] <= group[1];
}
