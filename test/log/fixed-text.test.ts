import fc from "fast-check";
import { expect, test } from "vitest";
import { FixedText } from "../../src/log/fixed-text.ts";

const letters = fc.string({ unit: fc.constantFrom("a", "b"), maxLength: 12 });
const viewOf = (text: string): DataView => {
  const bytes = Uint8Array.from(text, (char) => char.charCodeAt(0));
  return new DataView(bytes.buffer);
};

test("a text is found where it stands, and nowhere else", () => {
  fc.assert(
    fc.property(letters, letters, letters, letters, (before, some, after, other) => {
      const text = `${some}abab`;
      const bytes = before + (after.length % 2 === 0 ? text : "") + after;
      const found = (known: FixedText, wanted: string): void => {
        for (let at = 0; at <= bytes.length; at++)
          expect(known.endAt(viewOf(bytes), at)).toBe(bytes.startsWith(wanted, at) ? at + wanted.length : -1);
      };
      const known = new FixedText(text);
      found(known, text);
      const next = `${other}bbbb`;
      known.become(viewOf(`${before}${next}${after}`), before.length, before.length + next.length);
      found(known, next);
    }),
    { numRuns: 500 },
  );
});
