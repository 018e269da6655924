// Which faults are survived, and by which tests: a table that is held to the titles of the tests, and counted.
import { expect, test } from "vitest";
import { textOf } from "../source.ts";
import { FAULTS } from "./proxy.ts";

const CASES_MIN = 50;

/** Of a fault: the file, how its test is called there, and how many cases it has by the list that it runs over. */
type Row = readonly [fault: string, file: string, title: string, cases: number];

const NETWORK: readonly Row[] = [
  [
    "cut in the middle of request and reply, reset, half-close, stall, black hole",
    "faults",
    "%s during an append: it is stored once, and acknowledged",
    FAULTS.length,
  ],
  ["the same", "faults", "%s while a store is opened, read, and closed", FAULTS.length],
  ["several in a row", "faults", "several faults at the same append, one after the other", 1],
  ["under load", "faults", "a hundred writers at once, and faults at their batches", 1],
  [
    "a partition",
    "faults",
    "a partition that does not end: the call ends, its outcome is unknown, and nothing is accepted any more",
    1,
  ],
  ["refused", "faults", "a server that cannot be reached is said to be so at once", 1],
  ["of consumers", "consumer-faults", "while new entries are read: the same run hands all of them out, each once", 4],
  ["of consumers", "consumer-faults", "while pending entries are taken over", 4],
  [
    "a late request",
    "consumer-faults",
    "a question that arrives when nobody waits for it any more: what it got is handed out when it is idle",
    1,
  ],
  [
    "a partition of consumers",
    "consumer-faults",
    "a network that is gone for a while is waited out, also by who follows",
    1,
  ],
  ["a late write", "writers", "a write that was held up in the network and comes after the takeover is refused", 1],
  ["refused, latency, cut, stall under a system", "system-faults", "network: $name", 4],
];

const SERVER: readonly Row[] = [
  ["SIGSTOP", "server-faults", "a server that takes connections and says nothing: every call ends", 1],
  ["SIGSTOP", "server-faults", "a stopped server (SIGSTOP) that goes on later: stored once", 1],
  [
    "kill -9, AOF always and everysec",
    "server-faults",
    "kill -9 while it writes (appendfsync %s): what was acknowledged is there, once, or named",
    2,
  ],
  ["OOM", "server-faults", "out of memory: the append waits until there is room", 1],
  ["OOM", "server-faults", "out of memory for good is STORAGE_FULL behind an unknown outcome", 1],
  ["READONLY", "server-faults", "a server that became a replica (READONLY) and is promoted again", 1],
  ["CLIENT PAUSE, NOREPLICAS", "server-faults", "%s: the append waits, and is stored once", 2],
  ["SCRIPT FLUSH", "server-faults", "the scripts were flushed: they are sent again", 1],
  ["NOPERM", "server-faults", "a user who may not run scripts is told which commands it needs", 1],
  ["WRONGTYPE", "server-faults", "a key of another program (WRONGTYPE) is said to be so, and left alone", 1],
  [
    "MISCONF, OOM, NOREPLICAS, READONLY, MASTERDOWN, BUSY, CLIENT PAUSE, SIGSTOP, kill -9, LOADING, SCRIPT FLUSH, CLIENT KILL",
    "system-faults",
    "server: $name",
    13,
  ],
  ["the clock jumps", "system-faults", "clock: $name", 3],
  ["the clock jumps", "system-faults", "segments that begin while the clock goes back follow the ones before", 1],
  ["MISCONF, kill -9 for good", "system-faults", "$name, for good", 2],
  ["the same, of a consumer", "consumer-mishaps", "through each mishap of the server, one after the other", 8],
  [
    "BUSYGROUP",
    "consumer-mishaps",
    "many make the same group at once (BUSYGROUP): one has made it, and it stands where that one said",
    1,
  ],
  [
    "NOGROUP",
    "consumer-mishaps",
    "a group that goes while it is followed (NOGROUP), and a store that goes, end the call with their names",
    1,
  ],
  ["WRONGTYPE, of a consumer", "consumer-mishaps", "another key in place of the stream (WRONGTYPE) is named", 1],
];

const HISTORY: readonly Row[] = [
  [
    "a foreign writer, a deleted stream, WRONGTYPE, FLUSHDB, a takeover",
    "system-faults",
    "%s, behind the writer's back",
    5,
  ],
  [
    "a foreign writer",
    "server-faults",
    "a foreign entry ends the writer; it is found, and taken out with its bytes kept",
    1,
  ],
  ["a deleted entry", "server-faults", "an entry that was deleted is found, and a deleted stream too", 1],
  ["a lost history", "durability", "history that is lost under a living writer ends it, and is named", 1],
  [
    "empty, older, another",
    "durability",
    "a server that came back empty, or older, or as another, is refused; without the witness it counts",
    3,
  ],
  [
    "an older server",
    "older-server",
    "the writer refuses and names what is missing; groups and pending entries are those of the snapshot",
    1,
  ],
  [
    "fenced",
    "writers",
    "when the lease ends another takes over, and not one record of the first is stored from then on",
    1,
  ],
];

test(`at least ${CASES_MIN} cases of faults, each by a test that is there`, () => {
  const rows = [...NETWORK, ...SERVER, ...HISTORY];
  const missing = rows.filter(([, file, title]) => !textOf(`test/redis/${file}.test.ts`).includes(`"${title}"`));
  expect(missing).toEqual([]);
  const count = rows.reduce((sum, [, , , cases]) => sum + cases, 0);
  console.log(`faults of Redis: ${count} cases in ${rows.length} tests`);
  expect(count).toBeGreaterThanOrEqual(CASES_MIN);
});
