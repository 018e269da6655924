// Closed segments are looked at in several threads, in the order in which a log is read: whoever reads it then passes over those
// that are whole. A thread that does not start or fails costs time alone, since what nobody vouches for is read.
import type { Thread } from "../env/env.ts";
import type { LookAhead, WholeSegment } from "./look-ahead.ts";
import type { WholeQuestion } from "./whole-segment.ts";

interface Asked {
  readonly question: WholeQuestion;
  readonly answer: (found: WholeSegment | undefined) => void;
}

export class ThreadedLookAhead implements LookAhead {
  readonly #answers = new Map<string, Promise<WholeSegment | undefined>>();
  readonly #queue: Asked[] = [];
  readonly #threads: Thread[] = [];
  #working = 0;

  /** `start` is called `count` times; where it throws, there is one thread less. */
  constructor(start: () => Thread, count: number, questions: readonly WholeQuestion[]) {
    for (const question of questions) {
      this.#answers.set(question.id, new Promise((answer) => this.#queue.push({ question, answer })));
    }
    for (let i = 0; i < count; i++) {
      try {
        this.#threads.push(start());
      } catch {
        // Node may have been told to allow none.
      }
    }
    this.#working = this.#threads.length;
    if (this.#working === 0) this.#giveUp();
    for (const thread of this.#threads) void this.#work(thread);
  }

  async of(id: string): Promise<WholeSegment | undefined> {
    return this.#answers.get(id);
  }

  async end(): Promise<void> {
    this.#giveUp();
    await Promise.all(this.#threads.map((thread) => thread.end()));
  }

  async #work(thread: Thread): Promise<void> {
    for (let asked = this.#queue.shift(); asked !== undefined; asked = this.#queue.shift()) {
      try {
        asked.answer((await thread.ask(asked.question)) as WholeSegment | undefined);
      } catch {
        asked.answer(undefined);
        break; // a thread that failed once is not asked again
      }
    }
    this.#working -= 1;
    if (this.#working === 0) this.#giveUp();
  }

  #giveUp(): void {
    for (const { answer } of this.#queue.splice(0)) answer(undefined);
  }
}
