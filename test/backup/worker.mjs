// A process that works on a repository as it is told, line by line, and says what came of it. Arguments: the root of a
// built package, and where the repository is: {"directory": ...} or {"s3": options}.
import { writeSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const [root, place] = process.argv.slice(2);
const load = (path) => import(pathToFileURL(join(root, "dist", path)).href);
const { directory, s3 } = JSON.parse(place);
const store =
  s3 === undefined
    ? (await load("backup/directory.js")).directoryObjects((await load("env/node.js")).nodeEnv, directory)
    : (await load("s3/index.js")).s3Objects(s3);

let hold;
const WORK = {
  put: ({ name, text }) => store.put(name, Buffer.from(text), { ifAbsent: true }),
  hold: async ({ mode, purpose }) => {
    hold = await store.hold(mode, purpose);
    return process.pid;
  },
  assert: () => hold.assertHeld(),
  release: () => hold.release(),
  /** Comes to the middle of a restore, and no further. */
  async restoreHalf({ target }) {
    const { restoreBackup } = await load("backup/restore.js");
    const { nodeEnv } = await load("env/node.js");
    return restoreBackup(store, nodeEnv, target, {
      onProgress: () => {
        writeSync(1, `${JSON.stringify({ done: "half" })}\n`);
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
      },
    });
  },
  /** Puts objects that tell how long they are until it is killed; each is announced when it is there. */
  async forever({ seed }) {
    let state = seed >>> 0;
    for (let n = 0; ; n++) {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      const bytes = Buffer.alloc(100 + (state % 3_000_000), `${seed}-${n} `);
      bytes.write(`${bytes.length}\n`);
      const name = `segments/${seed}-${n % 7}`;
      await store.put(name, bytes, { ifAbsent: n % 2 === 0 });
      writeSync(1, `${JSON.stringify({ done: name })}\n`);
    }
  },
};

writeSync(1, `${JSON.stringify({ done: "open" })}\n`);
for await (const line of createInterface({ input: process.stdin })) {
  const { work, ...args } = JSON.parse(line);
  const said = await WORK[work](args).then(
    (done) => ({ done }),
    ({ code, message, details }) => ({ code, message, details }),
  );
  writeSync(1, `${JSON.stringify(said)}\n`);
}
