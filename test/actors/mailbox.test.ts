// The mailbox against a plain array, over random bursts.
import fc from "fast-check";
import { expect, test } from "vitest";
import { Mailbox } from "../../src/actors/mailbox.ts";

test("first in, first out, and never more than the maximum", () => {
  const burst = fc.tuple(fc.boolean(), fc.integer({ min: 1, max: 400 }));
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 500 }), fc.array(burst, { maxLength: 30 }), (max, bursts) => {
      const mailbox = new Mailbox<number>(max);
      const model: number[] = [];
      let next = 0;
      for (const [push, count] of bursts) {
        for (let i = 0; i < count; i++) {
          if (push) {
            const taken = mailbox.push(next);
            expect(taken).toBe(model.length < max);
            if (taken) model.push(next);
            next += 1;
          } else expect(mailbox.shift()).toBe(model.shift());
          expect(mailbox.length).toBe(model.length);
        }
      }
      while (model.length > 0) expect(mailbox.shift()).toBe(model.shift());
      expect(mailbox.shift()).toBeUndefined();
    }),
  );
});

test("undefined is an item like any other", () => {
  const mailbox = new Mailbox<undefined>(2);
  expect([mailbox.push(undefined), mailbox.push(undefined), mailbox.push(undefined)]).toEqual([true, true, false]);
  mailbox.shift();
  expect(mailbox.length).toBe(1);
});
