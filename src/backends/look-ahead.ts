// What is known of closed segments before their logs are read, since somebody looks at them meanwhile (segment-threads.ts).

/**
 * Of a closed segment: every line verifies, their seqs follow each other, none of them is a gap record, and the seal behind them
 * is about these bytes. Whether it follows the segment before is not known.
 */
export interface WholeSegment {
  /** Of its seal. */
  readonly digest: string;
  /** The greatest `durable` that a line states, or 0. */
  readonly durable: number;
}

/** Closed segments that are being looked at. */
export interface LookAhead {
  /** Waits until it is known whether the segment of this id is whole; undefined if it is not, or if nobody was asked. */
  of(id: string): Promise<WholeSegment | undefined>;
  /** Whoever still waits gets undefined. */
  end(): Promise<void>;
}
