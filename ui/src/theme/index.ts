export { processColor, processHue } from './process';
export {
  applyTheme,
  type ContrastChoice,
  resolvedContrast,
  resolvedTheme,
  type ThemeChoice,
  toggleContrast,
  toggleTheme,
  useTheme,
  WALLPAPERS,
  type Wallpaper,
} from './theme';
