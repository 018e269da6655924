// The tree of commands: names, options, help. What a command does is loaded when it is called, so that `--help` is fast.
import { Command, Option } from "commander";
import { RETAINED_LOGS } from "../log/retention.ts";
import type { RecoverMode } from "../ops/recover.ts";
import type { StartupMode } from "../ops/startup.ts";
import { THREADS_MAX } from "../options.ts";
import { addBackup } from "./commands-backup.ts";
import { type Act, addExamples, type Leaf, repositoryOption, wholeNumber } from "./command-parts.ts";
import { addConsumers } from "./commands-consumers.ts";
import type { Handler } from "./context.ts";

const RECOVER_MODES: readonly RecoverMode[] = ["ignore", "repair", "quarantine"];
const STARTUP_MODES: readonly StartupMode[] = ["ignore", "scan_only", "fail_on_anomaly", "recover"];

/** `configure` is called on the root before any command is added, so that all of them inherit it. */
export function buildProgram(version: string, act: Act, configure: (program: Command) => void): Command {
  const program = new Command("papyra").description(
    "Looks after the logs of a Papyra store: scan, recover, check before a start, inspect.",
  );
  configure(program);
  program.version(version, "-V, --version", "print the version");
  addExamples(program, [
    ["papyra persistence scan --path backups/papyra-2026-01-01", "is this backup whole?"],
    ["papyra persistence startup-check", "is it safe to start on ./persistence?"],
    ["papyra inspect events --limit 20", "what happened last?"],
  ]);
  const leaf = (parent: Command, name: string, summary: string, load: () => Promise<Handler>): Command => {
    const command = parent.command(name).description(summary);
    command
      .option(
        "--path <path>",
        "a store directory, one of its .ndjson files, any log file, or redis://host:port/prefix:system (env: PAPYRA_PATH)",
      )
      .option(
        "--redis <url>",
        "a Redis server instead: redis://[user:password@]host:port[/database] (env: PAPYRA_REDIS)",
      )
      .option("--prefix <prefix>", "with --redis: the first part of the keys (default: papyra)")
      .option("--system <id>", "with --redis: which system")
      .option("--config <file>", "the configuration to use instead of the nearest papyra.config.{ts,js,mjs,json}")
      .option("--json", "print one JSON document on stdout, also on failure")
      .option("--no-progress", "show no progress on stderr")
      .version(version, "-V, --version", "print the version")
      .action(async () => {
        const { registeredArguments: named, processedArgs } = command; // with the defaults
        const words = Object.fromEntries(named.map((one, i) => [one.name(), processedArgs[i] as unknown]));
        await act(fullName(command), load, { ...command.opts(), ...words });
      });
    return command;
  };
  addPersistence(program, leaf);
  addDoctor(program, leaf);
  addInspect(program, leaf);
  addReplay(program, leaf);
  addBackup(program, leaf);
  addConsumers(program, leaf);
  return program;
}

function fullName(command: Command): string {
  const names: string[] = [];
  for (let one: Command | null = command; one?.parent; one = one.parent) names.unshift(one.name());
  return names.join(" ");
}

function addPersistence(program: Command, leaf: Leaf): void {
  const group = program.command("persistence").description("Check and repair the logs of a store.");
  const load = () => import("./run-persistence.ts");
  addExamples(
    leaf(
      group,
      "scan",
      "Read everything and say everything that is wrong. Changes nothing.",
      async () => (await load()).runScan,
    ).addOption(threadsOption()),
    [
      ["papyra persistence scan", "the store named by PAPYRA_PATH, papyra.config or ./persistence"],
      ["papyra persistence scan --path backups/papyra-2026-01-01/events.ndjson", "one log of a backup"],
      ["papyra persistence scan --json | jq .report.counts", "anomalies by kind"],
    ],
  );
  addExamples(
    leaf(
      group,
      "recover",
      "Take damaged bytes out and account for what is gone. The system must be stopped.",
      async () => (await import("./run-recover.ts")).runRecover,
    )
      .addOption(
        new Option(
          "--mode <mode>",
          "ignore: only look; repair: remove damaged bytes; quarantine: keep them first",
        ).choices(RECOVER_MODES),
      )
      .option("--quarantine-dir <dir>", "where quarantine keeps what it takes out; implies --mode quarantine")
      .option("--plan [file]", "only say what would be done; with a file, write it down for --apply")
      .option("--apply <file>", "do what that plan says; refused when the store changed since")
      .option("--revert <id>", "put back what that recovery took out, from its quarantine"),
    [
      ["papyra persistence recover --path events.ndjson", "remove what is damaged from one log"],
      ["papyra persistence recover --mode quarantine --quarantine-dir ./quarantine", "keep what is taken out"],
      ["papyra persistence recover --mode quarantine --plan plan.json", "look at it first; later: --apply plan.json"],
      ["papyra persistence recover --revert 20260101T031500Z-a1b2c3", "everything as it was before that recovery"],
    ],
  );
  addExamples(
    leaf(
      group,
      "startup-check",
      "Say whether it is safe to start on the store.",
      async () => (await load()).runStartupCheck,
    )
      .addOption(startupMode())
      .option("--quarantine-dir <dir>", "where --mode recover keeps what it takes out")
      .option("--trust-seals", "take the word of the seals of closed segments instead of reading these")
      .addOption(threadsOption()),
    [
      ["papyra persistence startup-check && npm start", "start only on a sound store"],
      ["papyra persistence startup-check --mode recover --quarantine-dir ./quarantine", "recover first if needed"],
    ],
  );
  addCompact(group, leaf);
  addReading(group, leaf);
  addSelftest(group, leaf);
}

function threadsOption(): Option {
  const what = "how many threads read closed segments (default: one a core, up to 8)";
  return new Option("--threads <count>", what).argParser(wholeNumber(1, THREADS_MAX));
}

function addCompact(group: Command, leaf: Leaf): void {
  const summary = "Take expired records out for good, and account for them. The system must be stopped.";
  addExamples(
    leaf(group, "compact", summary, async () => (await import("./run-compact.ts")).runCompact)
      .addOption(
        new Option(
          "--log <log>",
          "only this log; the journal only when it is named here or in the configuration",
        ).choices(RETAINED_LOGS),
      )
      .option("--max-records <count>", "the newest so many records stay", wholeNumber(0, Number.MAX_SAFE_INTEGER))
      .option("--max-age <span>", "older records go: 90s, 15m, 2h, 30d, 8w")
      .option("--max-bytes <size>", "the newest records stay up to this size: 4096, 64KiB, 1.5GiB")
      .option("--plan [file]", "only say what would go; with a file, write it down for --apply")
      .option("--apply <file>", "do what that plan says; refused when the store changed since"),
    [
      ["papyra persistence compact --plan", "what would go, by the retention of papyra.config"],
      ["papyra persistence compact --log events --max-age 30d", "lifecycle events of the last 30 days stay"],
      ["papyra persistence compact --log journal --max-records 0", "whatever snapshots cover goes"],
    ],
  );
}

/** What only looks, and goes on at the end of `papyra persistence`. */
function addReading(group: Command, leaf: Leaf): void {
  addExamples(
    leaf(
      group,
      "account",
      "Say where every seq is: present, compacted, quarantined, lost or missing. Changes nothing.",
      async () => (await import("./run-persistence.ts")).runAccount,
    ),
    [
      ["papyra persistence account", "1..N of each log, and what became of what is not there"],
      ["papyra persistence account --path backups/papyra-2026-01-01", "is anything missing from this backup?"],
    ],
  );
  addExamples(
    countOption(
      leaf(
        group,
        "inspect",
        "What the store holds: the same as `papyra inspect summary`.",
        async () => (await import("./run-inspect.ts")).runSummary,
      ),
    ),
    [["papyra persistence inspect --path backups/papyra-2026-01-01", "what is in this backup?"]],
  );
}

function addSelftest(group: Command, leaf: Leaf): void {
  addExamples(
    leaf(
      group,
      "selftest",
      "Measure a disk, crash writers on it, and say what durability it gives. Works in a directory of its own, and removes it.",
      async () => (await import("./run-selftest.ts")).runSelftest,
    )
      .argument("[dir]", "a directory on the disk, or one to be made there (default: where the store is)")
      .option("--seconds <count>", "how long writers are crashed (default: 60)", wholeNumber(1, 3600)),
    [
      ["papyra persistence selftest volumes/data/persistence", "can this disk keep a store?"],
      ["papyra persistence selftest volumes/data/persistence --seconds 5 --json", "a short look, for a script"],
    ],
  );
}

function startupMode(): Option {
  return new Option(
    "--mode <mode>",
    "ignore: do not look; scan_only: look and report; fail_on_anomaly: refuse; recover: recover, refuse what remains (default: the configuration's, else fail_on_anomaly)",
  ).choices(STARTUP_MODES);
}

function countOption(command: Command): Command {
  return command.option("--count", "read everything and count the records by type");
}

function addDoctor(program: Command, leaf: Leaf): void {
  const group = program.command("doctor").description("Check the machine and the store together.");
  addExamples(
    leaf(
      group,
      "run",
      "Say whether this machine can keep the store, and whether it is safe to start on.",
      async () => (await import("./run-doctor.ts")).runDoctor,
    )
      .addOption(startupMode())
      .option("--quarantine-dir <dir>", "where --mode recover keeps what it takes out"),
    [
      ["papyra doctor run", "everything, changing nothing"],
      ["papyra doctor run --mode scan_only --json", "for a monitor: exit 0 whatever is found"],
    ],
  );
  addExamples(
    repositoryOption(
      leaf(
        group,
        "checklist",
        "What should be there before production: daily backups, restore tests, and so on; and what is not.",
        async () => (await import("./run-checklist.ts")).runChecklist,
      ),
    ),
    [["papyra doctor checklist", "exit 1 when something is not done"]],
  );
}

const INSPECTED = [
  ["events", "event", "What happened to actors."],
  ["audits", "audit", "Pictures of the running system."],
  ["dead-letters", "dead_letter", "Messages that reached nobody."],
  ["journal", "journal", "What persistent actors decided."],
  ["snapshots", "snapshot", "Folded states of persistent actors."],
] as const;

function addInspect(program: Command, leaf: Leaf): void {
  const group = program
    .command("inspect")
    .description("Look at records, the newest ones last. Works beside a running system.");
  const load = () => import("./run-inspect.ts");
  for (const [name, kind, summary] of INSPECTED) {
    const command = leaf(group, name, summary, async () => (await load()).runInspect(kind))
      .option("--limit <count>", "how many records, the newest ones", wholeNumber(1, 10_000), 20)
      .option("--since <time>", "only from this time on: 2026-01-01T10:30 (UTC), 2h (ago), @1767225600")
      .option("--until <time>", "only up to this time");
    if (kind !== "journal" && kind !== "snapshot")
      command.option("--expired", "also what the configuration's retention has expired, until it is compacted");
    if (kind === "event" || kind === "journal") command.option("--type <type>", "only this event type");
    if (kind === "dead_letter") command.option("--type <type>", "only this message type");
    if (kind !== "audit")
      command.option("--actor <address>", "only this actor: its address or the end of it; * for any characters");
    addExamples(command, [
      [`papyra inspect ${name} --limit 5`, "the five newest records"],
      [`papyra inspect ${name} --since 1h --json | jq '.report.records[].record'`, "the last hour, for a program"],
    ]);
  }
  addExamples(
    countOption(
      leaf(
        group,
        "summary",
        "What the store holds: logs, sizes, first and last records.",
        async () => (await load()).runSummary,
      ),
    ),
    [
      ["papyra inspect summary", "at once, however long the history is"],
      ["papyra inspect summary --count", "with the number of records of each type"],
    ],
  );
}

function addReplay(program: Command, leaf: Leaf): void {
  const summary = "Fold the journal into the states of its actors, without starting anything.";
  const command = leaf(program, "replay", summary, async () => (await import("./run-replay.ts")).runReplay);
  command
    .option("--verify", "fold twice, compare the states and every snapshot, name the first event that differs")
    .option(
      "--until <seq or time>",
      "only up to this seq of the journal, or this time (2026-01-01T10:30, 2h, @1767225600)",
    )
    .option("--actor <persistence id>", "only this actor")
    .option("--states", "with --json: the states themselves, not only their digests");
  addExamples(command, [
    ["papyra replay --verify", "is the history still what it was? (actors come from papyra.config)"],
    ["papyra replay --until 2026-01-01T10:30 --actor account/42 --states --json", "one state as it was then"],
  ]);
}
