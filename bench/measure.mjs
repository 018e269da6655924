// Runs rivals in turn, round by round, so that a machine whose speed drifts is fair to all; reports medians and ratios.
export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)];
}

/**
 * `rivals`: { name: async () => operations per second }. Returns { name: { perSecond, ratio } }, where ratio is the first
 * rival's speed divided by this one's, the median over rounds.
 */
export async function rounds(count, rivals) {
  const names = Object.keys(rivals);
  const rates = Object.fromEntries(names.map((name) => [name, []]));
  for (const name of names) await rivals[name](); // a warm-up that does not count
  for (let round = 0; round < count; round++) {
    for (const name of names) rates[name].push(await rivals[name]());
  }
  const [first] = names;
  return Object.fromEntries(
    names.map((name) => [
      name,
      { perSecond: median(rates[name]), ratio: median(rates[name].map((rate, round) => rates[first][round] / rate)) },
    ]),
  );
}

export async function timed(operations, work) {
  const start = performance.now();
  await work();
  return operations / ((performance.now() - start) / 1000);
}

/** The processor time that this process takes, with its threads: less of it depends on what else the machine does. */
export async function cpuSeconds(work) {
  const before = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1e6;
}
