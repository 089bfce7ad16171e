import * as icons from './icons';

export interface AppIconProps {
  /** A lucide name in kebab case; an unknown one draws a plain window. */
  name: string;
  size?: 14 | 16 | 20 | 24;
  className?: string;
}

export function AppIcon({ name, size = 16, className }: AppIconProps) {
  const Icon = icons.byName[name] ?? icons.fallback;
  return (
    <Icon
      size={size}
      strokeWidth={1.75}
      aria-hidden="true"
      {...(className ? { className } : {})}
      style={{ flexShrink: 0 }}
    />
  );
}
