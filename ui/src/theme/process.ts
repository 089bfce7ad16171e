/** The golden angle: neighbours in pid lie far apart in hue, and no two small pids meet. */
const GOLDEN_ANGLE = 137.507764;

export function processHue(pid: number): number {
  return (((pid * GOLDEN_ANGLE) % 360) + 360) % 360;
}

/** One process, one colour, everywhere. Lightness and chroma come from the theme. */
export function processColor(pid: number | null): string {
  if (pid === null) return 'var(--line-strong)';
  return `oklch(var(--process-l) var(--process-c) ${processHue(pid).toFixed(1)})`;
}
