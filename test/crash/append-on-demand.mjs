// A process that opens a store, and appends one record for each line on its standard input. It says what became of each.
import { writeSync } from "node:fs";
import { createInterface } from "node:readline";
import { fileStore, openStore } from "../../dist/index.js";

const store = await openStore(fileStore({ path: process.argv[2] }));
writeSync(1, "open\n");
for await (const text of createInterface({ input: process.stdin })) {
  const record = { kind: "event", system_id: "s", actor_address: "s://a", event_type: "Noted", payload: { text } };
  const said = await store.append("events", [record]).then(
    ({ firstSeq }) => `ack ${firstSeq}`,
    (error) => `${error.code} ${error.cause?.code ?? ""} ${error.message}`,
  );
  writeSync(1, `${said}\n`);
}
