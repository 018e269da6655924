#!/usr/bin/env node
import { main, processIo } from "./main.ts";
const code = await main(process.argv.slice(2), processIo());
process.exitCode ??= code; // set already when the result could not be written
