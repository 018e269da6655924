// Loaded into a process before its program: where it would make such a call of the file system, it stops itself, as SIGSTOP
// from outside would. PAPYRA_TEST_STOP is the name of the call and, after a space, a pattern for its paths.
import fs from "node:fs";

const [, call, pattern] = /^(\S+) (.*)$/.exec(process.env.PAPYRA_TEST_STOP);
const original = fs.promises[call];
let stopped = false;
fs.promises[call] = function (...args) {
  if (!stopped && new RegExp(pattern).test(args.join(" "))) {
    stopped = true;
    process.kill(process.pid, "SIGSTOP");
  }
  return original.apply(this, args);
};
