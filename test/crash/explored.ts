// What an exploration has found, counted.
/** What was found somewhere in the exploration. */
export interface Explored {
  /** Survivors of all cuts and kills. */
  survivors: number;
  /** Those that were judged: none that is byte for byte like another of the same life. */
  states: number;
  /** Of them: kills, cuts of what mends a survivor, survivors that were damaged as well. */
  kills: number;
  deeper: number;
  harmed: number;
  /** Calls that failed on purpose, and operations that ended with it. */
  faults: number;
  failures: number;
}

export const nothingExplored = (): Explored => ({
  survivors: 0,
  states: 0,
  kills: 0,
  deeper: 0,
  harmed: 0,
  faults: 0,
  failures: 0,
});
