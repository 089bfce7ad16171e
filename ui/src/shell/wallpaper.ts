import type { Wallpaper } from '@/theme';

/** Two hues each, laid over the page's own colour so thinly that both themes can carry them. */
const hues: Readonly<Record<Wallpaper, readonly [number, number]>> = {
  dawn: [262, 330],
  tide: [220, 262],
  moss: [160, 220],
  slate: [262, 262],
};

export function wallpaperOf(name: Wallpaper): string {
  const [one, other] = hues[name];
  const veil = (hue: number, at: string, strength: number) =>
    `radial-gradient(120% 90% at ${at}, oklch(0.6 0.11 ${hue} / ${strength}), transparent 62%)`;
  return [veil(one, '12% 0%', 0.26), veil(other, '95% 100%', 0.2)].join(', ');
}
