// The files that take longest begin first, so that in the end no worker is left alone with one of them.
import { BaseSequencer, type TestSpecification } from "vitest/node";

/** In this order; what takes a minute is among the first. */
const LONG = [
  /\/crash\/kill-9/,
  /\/crash\//,
  /\/contract\./,
  /\/docs\//,
  /\/damage/,
  /\/backup\//,
  /\/redis\//,
  /\/cli\//,
];

export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification): number => {
      const found = LONG.findIndex((pattern) => pattern.test(moduleId));
      return found < 0 ? LONG.length : found;
    };
    return (await super.sort(files)).toSorted((a, b) => rank(a) - rank(b));
  }
}
