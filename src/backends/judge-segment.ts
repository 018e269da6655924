// Whose the lines of a segment are and where they begin, and the finding where that is not as it should be.
import { PapyraError } from "../errors.ts";
import type { AnomalyKind } from "../log/anomaly.ts";
import { seedOf } from "../log/codec.ts";
import type { Repair } from "../log/findings.ts";
import { type Head, judgeHead } from "../log/identity.ts";
import type { Identity, LogName } from "../log/record.ts";
import type { Segment } from "./backend.ts";

/** Where the lines of a segment begin, and what they are checked with; undefined when that cannot be told. */
export interface JudgedSegment {
  readonly from: number | undefined;
  readonly seed: number | undefined;
  /** The identity line is as it should be. */
  readonly clean: boolean;
  /** Whether its lines have checksums. */
  readonly checked: boolean;
  readonly finding?: HeadFinding;
}

/** What is wrong with the first `length` bytes. */
interface HeadFinding {
  readonly kind: AnomalyKind;
  readonly length: number;
  readonly detail: string;
  readonly repair: Repair;
}

/** `head` is the beginning of the segment. Rejects with FORMAT_UNKNOWN. */
export function judgeSegment(
  head: Buffer,
  segment: Segment,
  log: LogName | undefined,
  expected: Identity | undefined,
  siblings: Iterable<Identity>,
): JudgedSegment {
  const judged: Head = judgeHead(head, log, expected, siblings);
  const none: Repair = { type: "none" };
  const lost = (kind: AnomalyKind, detail: string): JudgedSegment => {
    const finding = { kind, length: segment.bytes, detail, repair: none };
    return { from: undefined, seed: undefined, clean: false, checked: true, finding };
  };
  switch (judged.type) {
    case "ok":
      return { from: judged.line.length, seed: seedOf(judged.line), clean: true, checked: true };
    case "damaged": {
      const { bytes: length, line } = judged;
      const detail = length === 0 ? "the identity line is missing" : "the identity line is damaged";
      const finding = { kind: "malformed-line", length, detail, repair: { type: "identity", line } } as const;
      return { from: length, seed: seedOf(line), clean: false, checked: true, finding };
    }
    case "unchecked": {
      const plain = { from: 0, seed: undefined, clean: true, checked: false };
      const detail = "the file is empty: not even an identity line";
      return segment.bytes > 0
        ? plain
        : { ...plain, finding: { kind: "malformed-line", length: 0, detail, repair: none } };
    }
    case "foreign": {
      const { log: other, store, lineage } = judged.identity;
      return lost(
        "foreign-line",
        `the whole file is of log ${other}, store ${store}, lineage ${lineage}; put it where it belongs`,
      );
    }
    case "unreadable":
      return lost("unreadable", "the identity line is lost, and papyra.json, which could replace it, too");
    case "unknown-version":
      throw new PapyraError(
        "FORMAT_UNKNOWN",
        `${segment.name} has format version ${JSON.stringify(judged.version)}; this release knows 1`,
        {
          hint: "read it with the release of Papyra that wrote it",
          details: { file: segment.name, version: judged.version },
        },
      );
  }
}
