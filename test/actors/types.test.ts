// What the compiler must infer and refuse. Nothing here has to run; the type check of the project reads it.
import { expectTypeOf, test } from "vitest";
import type { ActorContext, ActorRef, MessageContext } from "../../src/actors/behaviour.ts";
import { ActorSystem } from "../../src/actors/system.ts";
import { nodeEnv } from "../../src/env/node.ts";

type Account = { type: "deposit"; amount: number } | { type: "balance" };

export async function inferred(system: ActorSystem): Promise<void> {
  const greeter = system.spawn("greeter", () => ({ receive: (message: { name: string }) => `hello ${message.name}` }));
  expectTypeOf(greeter).toEqualTypeOf<ActorRef<{ name: string }, string>>();
  expectTypeOf(await greeter.ask({ name: "a" })).toEqualTypeOf<string>();
  // @ts-expect-error the message has another shape
  greeter.tell({ nome: "a" });
  // @ts-expect-error the message is missing
  greeter.tell();
  // @ts-expect-error so is it here
  await greeter.ask();
  // @ts-expect-error the reply is a string
  const wrong: number = await greeter.ask({ name: "a" });
  // @ts-expect-error there is no such option
  await greeter.ask({ name: "a" }, { timeout: 5 });

  const hooked = system.spawn("hooked", () => ({
    started: async (ctx) => {
      expectTypeOf(ctx).toEqualTypeOf<ActorContext>();
      // @ts-expect-error nothing said what this actor takes: annotate `ctx: ActorContext<number>`
      ctx.self.tell(1);
    },
    receive: async (message: number, ctx) => {
      expectTypeOf(ctx).toEqualTypeOf<MessageContext<number>>();
      ctx.self.tell(message);
      // @ts-expect-error this actor takes numbers
      ctx.self.tell("one");
      ctx.tell(greeter, { name: "b" });
      // @ts-expect-error the greeter takes names
      ctx.tell(greeter, 5);
      // @ts-expect-error the greeter replies with a string
      const reply: number = await ctx.ask(greeter, { name: "b" });
      const child = ctx.spawn("child", () => ({ receive: (_message: "go") => reply }));
      // @ts-expect-error the child takes "go"
      child.tell("stop");
      return { doubled: 2 * message };
    },
    stopped: (_, reason) => {
      // @ts-expect-error no actor stops for this reason
      if (reason === "bored") return;
    },
  }));
  expectTypeOf(await hooked.ask(2)).toEqualTypeOf<{ doubled: number }>();
  expectTypeOf(wrong).toBeNumber();

  const account = system.spawn("account", () => {
    let balance = 0;
    return {
      receive(message: Account) {
        if (message.type === "deposit") balance += message.amount;
        return balance;
      },
    };
  });
  expectTypeOf(account).toEqualTypeOf<ActorRef<Account, number>>();
  // @ts-expect-error a deposit has an amount
  account.tell({ type: "deposit" });

  // A reference to an actor that takes more stands in for one that takes less, never the other way round.
  const narrower: ActorRef<{ type: "balance" }, number> = account;
  // @ts-expect-error whoever holds this might send a deposit
  const wider: ActorRef<Account, number> = narrower;
  wider.tell({ type: "balance" });

  // @ts-expect-error a behaviour receives
  system.spawn("deaf", () => ({ started: () => undefined }));
  // @ts-expect-error a factory is wanted, so that a restart begins afresh
  system.spawn("shared", { receive: () => 1 });
  // @ts-expect-error there is no such option
  system.spawn("a", () => ({ receive: () => 1 }), { mailbox: 5 });
  // @ts-expect-error there is no such option
  void new ActorSystem({ env: nodeEnv, name: "local" });
}

test("the types are checked by the compiler", () => {
  expectTypeOf(inferred).toBeFunction();
});
