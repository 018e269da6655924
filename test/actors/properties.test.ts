// Random systems: whatever fails, stops or is full, order is kept, no message is both handled and a dead letter, none is
// lost, and each question settles exactly once.
import fc from "fast-check";
import { expect, test } from "vitest";
import type { Directive } from "../../src/actors/supervision.ts";
import { settle, startManualWorld } from "./world.ts";

interface Message {
  readonly sender: number;
  readonly n: number;
  readonly does: "reply" | "wait" | "throw" | "reject" | "stop";
}

const message = fc.record({
  sender: fc.nat(2),
  target: fc.nat(2),
  does: fc.oneof(
    { weight: 8, arbitrary: fc.constant("reply" as const) },
    { weight: 4, arbitrary: fc.constant("wait" as const) },
    { weight: 1, arbitrary: fc.constantFrom("throw" as const, "reject" as const, "stop" as const) },
  ),
  ask: fc.boolean(),
  pause: fc.boolean(),
});

test("order, exactly one fate for each message, one answer for each question", async () => {
  const run = fc.record({
    messages: fc.array(message, { minLength: 1, maxLength: 60 }),
    onFailure: fc.constantFrom<Directive>("restart", "resume", "stop", "escalate"),
    mailboxMax: fc.integer({ min: 1, max: 20 }),
    backoffMs: fc.constantFrom(0, 10),
    mailbox: fc.constantFrom("drain" as const, "dead-letters" as const),
    askTimeoutMs: fc.constantFrom(5, 10_000),
  });
  await fc.assert(
    fc.asyncProperty(run, async ({ messages, onFailure, mailboxMax, backoffMs, mailbox, askTimeoutMs }) => {
      const { system, clock, events } = await startManualWorld({
        mailboxMax,
        askTimeoutMs,
        supervision: { onFailure, backoffMs },
      });
      const handled: [target: number, Message][] = [];
      const actors = [0, 1, 2].map((target) =>
        system.spawn(`a${target}`, () => ({
          receive: (m: Message, ctx): number | Promise<number> => {
            handled.push([target, m]);
            if (m.does === "throw") throw new Error("thrown");
            if (m.does === "reject") return Promise.reject(new Error("rejected"));
            if (m.does === "stop") ctx.stop();
            return m.does === "wait" ? settle().then(() => m.n) : m.n;
          },
        })),
      );
      let asked = 0;
      const answers: number[] = [];
      for (const [n, { sender, target, does, ask, pause }] of messages.entries()) {
        const sent: Message = { sender, n, does };
        if (ask) {
          asked += 1;
          const answered = (): void => void answers.push(n);
          void actors[target]?.ask(sent).then((reply) => {
            expect(reply).toBe(n);
            answered();
          }, answered);
        } else actors[target]?.tell(sent);
        if (pause) {
          await Promise.resolve();
          clock.advance(3);
        }
      }
      await settle();
      const stopping = system.stop({ mailbox, timeoutMs: 100 });
      for (let n = 0; n < 40; n++) {
        await settle();
        clock.advance(10);
      }
      await stopping;
      await settle();

      const fates = new Map<number, string[]>();
      const note = (n: number, fate: string) => fates.set(n, [...(fates.get(n) ?? []), fate]);
      for (const [, m] of handled) note(m.n, "handled");
      for (const event of events) if (event.type === "DeadLetter") note((event.message as Message).n, "dead letter");
      for (const [n, { ask }] of messages.entries()) {
        // A question that found a full mailbox is answered with MAILBOX_FULL, and is nothing else.
        expect(fates.get(n)?.length ?? 0, `message ${n}`).toBe(ask && !fates.has(n) ? 0 : 1);
      }
      expect(answers.length).toBe(asked);
      expect(new Set(answers).size).toBe(asked);
      for (const target of [0, 1, 2]) {
        for (const sender of [0, 1, 2]) {
          const order = handled.filter(([to, m]) => to === target && m.sender === sender).map(([, m]) => m.n);
          expect(order).toEqual(order.toSorted((a, b) => a - b));
        }
      }
      expect(system.metrics().actors).toBe(0);
      clock.advance(0);
      expect(clock.waiting).toBe(0);
    }),
    { numRuns: 150 },
  );
});
