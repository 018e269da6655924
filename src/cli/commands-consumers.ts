// The commands for programs that follow a log: consume, and what keeps their groups in order.
import { Argument, type Command } from "commander";
import { addExamples, type Leaf, wholeNumber } from "./command-parts.ts";

/** As they are written on the command line. */
const LOGS = ["events", "audits", "dead-letters", "journal"] as const;

export function addConsumers(program: Command, leaf: Leaf): void {
  addConsume(program, leaf);
  const group = program
    .command("consumers")
    .description("Look after the consumer groups of a store in Redis: the programs that follow its logs.");
  const load = () => import("./run-consumers.ts");
  addExamples(
    leaf(
      group,
      "list",
      "Say how long the logs are, and of each consumer group how far it is and what it has not acknowledged.",
      async () => (await load()).runList,
    ),
    [
      ["papyra consumers list", "who is behind, and what is pending for how long"],
      ["papyra consumers list --json | jq '.report.logs[].groups[] | select(.lag > 1000)'", "for a monitor"],
    ],
  );
  addExamples(
    ofGroup(
      leaf(
        group,
        "recreate",
        "Put a group at another place. What it has not acknowledged is forgotten.",
        async () => (await load()).runRecreate,
      ),
    )
      .requiredOption("--from <place>", "where it goes on: start, end, or a seq")
      .option("--drop-pending", "also when something is pending"),
    [["papyra consumers recreate events --group billing --from 4711", "once more from seq 4711 on"]],
  );
  addExamples(
    ofGroup(
      leaf(
        group,
        "prune",
        "Remove the consumers of a group that are dead. Those that have something pending stay.",
        async () => (await load()).runPrune,
      ),
    ).option("--idle <span>", "nothing was heard of them for so long: 90s, 15m, 2h, 30d", "1d"),
    [["papyra consumers prune events --group billing --idle 2h", "after a deployment under other names"]],
  );
}

function ofGroup(command: Command): Command {
  return command
    .addArgument(new Argument("<log>", "which log").choices(LOGS))
    .requiredOption("--group <name>", "which consumer group");
}

function addConsume(program: Command, leaf: Leaf): void {
  const most = Number.MAX_SAFE_INTEGER;
  addExamples(
    ofGroup(
      leaf(
        program,
        "consume",
        "Pipe the records of a log in Redis to another program, one JSON document a line, and acknowledge what was written.",
        async () => (await import("./run-consume.ts")).runConsume,
      ),
    )
      .option("--consumer <name>", "who this is in the group (default: the name of the machine)")
      .option("--from <place>", "make the group if it is not there; it begins at: start, end, or a seq")
      .option("--limit <count>", "end after so many lines", wholeNumber(1, most))
      .option("--batch <count>", "write and acknowledge so many at once", wholeNumber(1, 10_000), 100)
      .option(
        "--claim-idle <ms>",
        "take over what another consumer has not acknowledged for so many milliseconds",
        wholeNumber(1, 2 ** 31 - 1),
        60_000,
      )
      .option("--follow", "wait for what comes, until it is stopped"),
    [
      ["papyra consume events --group billing --from start", "everything that the group has not had"],
      ["papyra consume events --group billing --follow | ./bill", "and whatever comes"],
      ["papyra consume dead-letters --group alarm --from end --follow | jq -c .record", "only what is new"],
    ],
  );
}
