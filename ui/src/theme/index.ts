export { processColor, processHue } from './process';
export {
  applyTheme,
  type ContrastChoice,
  resolvedTheme,
  type ThemeChoice,
  toggleTheme,
  useTheme,
  WALLPAPERS,
  type Wallpaper,
} from './theme';
