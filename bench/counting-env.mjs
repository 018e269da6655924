// The real world, and how often its file system is asked, and how much is read: what no busy machine changes.
import { nodeEnv } from "../dist/env/node.js";

export function countingEnv() {
  const counted = { calls: 0, bytes: 0, env: undefined };
  const counting = (target) =>
    new Proxy(target, {
      get(object, name) {
        const method = object[name];
        if (typeof method !== "function") return method;
        return async (...args) => {
          counted.calls += 1;
          const result = await method.apply(object, args);
          if (name === "read") counted.bytes += result;
          return name === "open" ? counting(result) : result;
        };
      },
    });
  counted.env = { ...nodeEnv, fs: counting(nodeEnv.fs) };
  return counted;
}
