// The commands below `papyra backup`.
import type { Command } from "commander";
import { Option } from "commander";
import { addExamples, collected, type Leaf, repositoryOption, wholeNumber } from "./command-parts.ts";

const LEVELS = ["names", "checksums", "replay"];
const COUNT_MAX = 100_000;

export function addBackup(program: Command, leaf: Leaf): void {
  const group = program
    .command("backup")
    .description("Back a store up, prove that the backups are good, and restore them.");
  const load = () => import("./run-backup.ts");
  const command = (name: string, summary: string, run: (commands: Awaited<ReturnType<typeof load>>) => Handlers) =>
    repositoryOption(leaf(group, name, summary, async () => run(await load())));
  addCreate(command);
  addWatch(command);
  addLooking(command);
  addRestore(command);
  addPrune(command);
  addRotateKeys(command);
}

/** For what may start a server that loads a file of it. */
function servers(command: Command): Command {
  return command
    .option(
      "--redis-server <program>",
      "the server to start, its redis-check-rdb beside it (default: PAPYRA_REDIS_SERVER, else redis-server on the PATH)",
    )
    .option(
      "--scratch <dir>",
      "where what is only needed meanwhile goes; removed in the end (default: beside the repository)",
    );
}

/** For what stores something. */
function packing(command: Command): Command {
  return command
    .option("--compress", "compress what is stored")
    .option("--age-recipient <key>", "encrypt the repository for this age public key; may be repeated", collected);
}

function addRotateKeys(command: Add): void {
  addExamples(
    command(
      "rotate-keys",
      "Let others, and only them, open an encrypted repository from now on; nothing is copied.",
      (all) => all.runRotateKeys,
    ).option(
      "--age-recipient <key>",
      "an age public key that shall open it; repeat it for each (default: the configuration's)",
      collected,
    ),
    [["papyra backup rotate-keys --age-identity old.txt --age-recipient age1...", "old.txt opens it now"]],
  );
}

type Commands = typeof import("./run-backup.ts");
type Handlers = Commands[keyof Commands];
type Add = (name: string, summary: string, run: (commands: Commands) => Handlers) => Command;

function addCreate(command: Add): void {
  addExamples(
    servers(
      packing(
        command(
          "create",
          "Back a store up: one instant, also beside a running system; only what is new is stored.",
          (all) => all.runCreate,
        ),
      ),
    )
      .option("--note <text>", "kept with the backup, for people")
      .option("--states", "also fold the states of all actors of the configuration, for drills to compare with")
      .option("--freeze", "of a store in Redis: let the server copy it at one instant, and read the copy")
      .option("--rdb", "have the Redis server save (BGSAVE), and take its file, checked and loaded by another server")
      .option("--rdb-file <file>", "take in an RDB file that is there already: of redis-cli --rdb, SAVE or a cloud"),
    [
      ["papyra backup create --path persistence --repository backups", "exit 13: the source is damaged"],
      ["papyra backup create --note before-the-upgrade", "of the store that the configuration names"],
      [
        "papyra backup create --rdb --redis redis://localhost:6379 --system orders",
        "the server's own snapshot; on its machine",
      ],
      ["papyra backup create --compress --age-recipient age1...", "encrypted; later ones need --age-identity alone"],
    ],
  );
  addExamples(
    packing(
      command("adopt", "Take in a copy of a store that was made by hand (cp -r), as it is.", (all) => all.runAdopt),
    )
      .argument("<dir>", "the copy")
      .option("--note <text>", "kept with the backup, for people"),
    [
      [
        "papyra backup adopt backups-by-hand/papyra-2026-01-01 --repository backups",
        "from now on it is verified with the others",
      ],
    ],
  );
}

function addWatch(command: Add): void {
  addExamples(
    packing(
      command(
        "watch",
        "Ship what becomes durable as it comes, until a signal; now and then make a backup of its own.",
        (all) => all.runWatch,
      ),
    )
      .option("--every <span>", "how often: so much may be missing (default: 1s)")
      .option("--backup-every <span>", "how often a backup is made of its own (default: 1h)"),
    [
      [
        "papyra backup watch --path persistence --repository backups --every 5s",
        "as a service of its own; restore to any time",
      ],
    ],
  );
}

function addLooking(command: Add): void {
  addExamples(
    command("list", "The backups that are there, and what is known about each.", (all) => all.runList),
    [["papyra backup list --repository backups", "with the anchor: keep it elsewhere"]],
  );
  addExamples(
    command("show", "Everything about one backup.", (all) => all.runShow).argument(
      "[id]",
      "the beginning of its id is enough",
      "latest",
    ),
    [["papyra backup show latest", "logs, seqs and times"]],
  );
  addExamples(
    servers(
      command("verify", "Prove that backups are what was stored, without restoring them.", (all) => all.runVerify),
    )
      .argument("[id]", "one backup, or latest (default: all of them)")
      .addOption(
        new Option(
          "--level <level>",
          "names: names and sizes; checksums: every byte; replay: every line and every state",
        )
          .choices(LEVELS)
          .default("checksums"),
      )
      .option("--sample <part>", "only a part: 2/7 (the second of seven), 10%, 500MiB")
      .option("--time-box <span>", "begin nothing new after this time; the next run goes on: 10m")
      .option("--anchor <anchor>", "the last anchor, kept elsewhere: finds what was removed, replaced or rolled back"),
    [
      ["papyra backup verify --repository backups", "every byte of every backup"],
      ["papyra backup verify --sample 3/7", "a seventh; seven such runs read everything"],
      ["papyra backup verify latest --level replay", "the newest one, to the last line"],
    ],
  );
  addExamples(
    command("status", "Whether the promise about backups is kept; for monitors.", (all) => all.runStatus)
      .option("--max-age <span>", "the newest good backup must not be older: 24h")
      .option("--require-drill <span>", "a drill must have passed within: 7d")
      .option("--prometheus", "as metrics")
      .option("--store <id>", "only of this store (default: of each that the repository has)"),
    [["papyra backup status --max-age 24h --require-drill 7d", "exit 1 when it is not, also when nothing ran at all"]],
  );
}

function addRestore(command: Add): void {
  addExamples(
    servers(
      command(
        "restore",
        "Restore a backup into an empty place: built aside, verified, then published by one step.",
        (all) => all.runRestore,
      ),
    )
      .option("--target <dir>", "a directory that is not there, or is empty (or a place in Redis: --redis, --system)")
      .option("--to-backup <id>", "the end of this backup (default: of the newest good one)")
      .option("--to-time <time>", "up to this time: 2026-01-01T10:30 (UTC), 2h (ago), @1767225600")
      .option("--to-seq <log:seq>", "up to this record: events:500; in the other logs up to its time")
      .option("--plan", "only say what would be there, and what the store at --path has that would not")
      .option("--in-place", "the target is the store itself: back it up first, then put the restored one in its place")
      .option("--states", "also fold the actors of the configuration and compare with the backup")
      .option("--store <id>", "of which store, where the repository has several (papyra backup list)")
      .option("--as-rdb <file>", "of a backup that is an RDB file: only write that file, for its own server to load")
      .option("--allow-damaged", "also a backup whose source was damaged, as it is"),
    [
      ["papyra backup restore --target restored --repository backups", "the newest good one"],
      ["papyra backup restore --target restored --to-time 2026-01-01T10:30", "the store as it was then"],
      ["papyra backup restore --target restored --plan --path persistence", "what would be lost?"],
      ["papyra backup restore --redis redis://localhost:6379 --system orders", "into Redis, where no key of it is"],
    ],
  );
  addExamples(
    command(
      "restore-actor",
      "Give one actor of a stopped store its history back, or another actor that history; the others are not touched.",
      (all) => all.runRestoreActor,
    )
      .argument("<id>", "its persistence id: account/42")
      .option("--as <id>", "under this id instead: account/42-before")
      .option("--to-backup <id>", "from this backup (default: the newest good one)")
      .option("--to-time <time>", "up to this time")
      .option("--to-seq <journal:seq>", "up to this record of the journal"),
    [
      [
        "papyra backup restore-actor account/42 --as account/42-before --path persistence",
        "to look at beside the one of today",
      ],
    ],
  );
  addExamples(
    servers(
      command(
        "drill",
        "Restore a backup to a scratch place, scan, replay, compare, measure; the result goes into the catalog.",
        (all) => all.runDrill,
      ),
    )
      .argument("[id]", "which backup", "latest")
      .option("--keep", "leave the scratch store there")
      .option("--aof", "instead of a backup: the append-only file of the Redis server, replayed by another server")
      .option("--aof-dir <dir>", "the same of this directory (appenddirname), or a copy of it")
      .option("--store <id>", "of which store, where the repository has several (papyra backup list)"),
    [
      ["papyra backup drill --repository backups", "exit 0: it passed; 13: it failed; 1: inconclusive"],
      ["papyra backup drill --aof --redis redis://localhost:6379 --system orders", "how long does a restart take?"],
    ],
  );
}

function addPrune(command: Add): void {
  const counted = (one: Command, name: string, what: string): Command =>
    one.option(`--keep-${name} <count>`, what, wholeNumber(0, COUNT_MAX));
  let prune = command("prune", "Remove backups by a policy, and what no backup needs any more.", (all) => all.runPrune);
  prune = counted(prune, "last", "the newest so many");
  for (const [name, unit] of [
    ["hourly", "hours"],
    ["daily", "days"],
    ["weekly", "weeks"],
    ["monthly", "months"],
    ["yearly", "years"],
  ] as const)
    prune = counted(prune, name, `the newest of each of the last so many ${unit} that have one`);
  prune
    .option("--keep-within <span>", "everything that is not older: 14d")
    .option("--min-good <count>", "never fewer good ones (default: 1)", wholeNumber(1, COUNT_MAX))
    .option("--grace <span>", "parts that no backup names stay for so long (default: 1h)")
    .option("--plan", "only say what would go")
    .option("--preview <time>", "only say which backups the policy would leave at this time");
  addExamples(prune, [
    ["papyra backup prune --keep-daily 7 --keep-weekly 4 --keep-monthly 12 --plan", "what would go?"],
    ["papyra backup prune --keep-daily 7 --preview 2027-01-01", "what could still be restored then?"],
  ]);
  addExamples(
    command("pin", "Keep a backup, whatever a policy says.", (all) => all.runPin)
      .argument("<id>", "which backup")
      .option("--note <text>", "why"),
    [["papyra backup pin 20260101T031500Z-a1b2c3 --note audit-2026", "it stays"]],
  );
  addExamples(
    command("unpin", "Let the policy decide about a backup again.", (all) => all.runUnpin).argument(
      "<id>",
      "which backup",
    ),
    [["papyra backup unpin 20260101T031500Z-a1b2c3", "as before"]],
  );
}
