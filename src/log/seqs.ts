// Which numbers a record may have. PURE.

/**
 * No line states a greater seq. A double holds every whole number up to 2^53: below half of that, counting on from any seq that
 * was read gives the next one, and a range of seqs can be counted.
 */
export const SEQ_MAX: number = 2 ** 52;
/** So many must be left where a log is opened to be written: more than any process can use up. */
export const SEQ_ROOM: number = 2 ** 48;

export function isSeq(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 1 && (value as number) <= SEQ_MAX;
}
