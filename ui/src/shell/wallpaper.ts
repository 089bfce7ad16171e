import type { Wallpaper } from '@/theme';

/** Two hues each, laid over the page's own colour so thinly that both themes can carry them. */
const hues: Readonly<Record<Wallpaper, readonly [number, number]>> = {
  dawn: [20, 300],
  tide: [215, 265],
  moss: [150, 205],
  slate: [260, 262],
};

/** Falls off in three steps, so that no edge can be seen where a veil ends. */
function veil(hue: number, at: string, strength: number): string {
  const colour = (share: number) => `oklch(0.6 0.1 ${hue} / ${(strength * share).toFixed(3)})`;
  return `radial-gradient(140% 120% at ${at}, ${colour(1)}, ${colour(0.55)} 30%, ${colour(0.16)} 60%, ${colour(0)} 90%)`;
}

export function wallpaperOf(name: Wallpaper): string {
  const [one, other] = hues[name];
  return [veil(one, '8% 0%', 0.3), veil(other, '100% 100%', 0.26)].join(', ');
}
