// The service of the demo: feeds every movement to its airport's actor, and tells the outside world of each acknowledgement
// by a line on stdout. It knows nothing but its store: where to go on, it asks the actors.
import { writeSync } from "node:fs";
import { ActorSystem, fileStore } from "../dist/index.js";
import { airport, movementsByAirport } from "./airports.mjs";

const path = process.argv[2];
const system = new ActorSystem({ store: fileStore({ path }) });
await system.start();
writeSync(1, `started: ${String(system.startupReport?.verdict)}\n`);

const say = [];
/** One write for many lines keeps the pipe from being the bottleneck; nothing is said before it is acknowledged. */
const flush = () => {
  if (say.length > 0) writeSync(1, say.splice(0).join(""));
};
const timer = setInterval(flush, 2);

await Promise.all(
  [...movementsByAirport()].map(async ([code, movements]) => {
    const ref = system.get(airport, code);
    const done = await ref.ask("movements", {}, { timeoutMs: 60_000 });
    for (const { kind, ...flight } of movements.slice(done)) {
      const count = await ref.ask(kind, flight, { timeoutMs: 60_000 });
      say.push(`ack ${code} ${String(count)}\n`);
    }
  }),
);
clearInterval(timer);
flush();
const report = await system.stop();
writeSync(1, `stopped ${report.ok ? "cleanly" : "with problems"}, ${report.recordsLost} records lost\n`);
