/** How long to wait before trying again: doubles from `first` to `most`, off by up to a fifth so that tabs don’t march in step. */
export function backoff(
  attempt: number,
  first = 250,
  most = 15_000,
  random: () => number = Math.random,
): number {
  const full = Math.min(most, first * 2 ** Math.min(attempt, 20));
  return Math.round(full * (0.8 + 0.4 * random()));
}
