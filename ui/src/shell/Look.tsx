import { Contrast, Moon, Sun } from 'lucide-react';
import { Choice, cx } from '@/components';
import { resolvedTheme, useTheme, WALLPAPERS } from '@/theme';
import { Tray } from './Tray';
import { wallpaperOf } from './wallpaper';

const NAMES = { dawn: 'Dawn', tide: 'Tide', moss: 'Moss', slate: 'Slate' } as const;

/** Light or dark, how much contrast, and what lies behind the windows. */
export function Look() {
  const theme = useTheme((state) => state.theme);
  const contrast = useTheme((state) => state.contrast);
  const dark = resolvedTheme(theme) === 'dark';
  return (
    <Tray name="look" label="Look" icon={contrast === 'more' ? Contrast : dark ? Moon : Sun}>
      <Choices />
    </Tray>
  );
}

function Choices() {
  const { theme, contrast, wallpaper, setTheme, setContrast, setWallpaper } = useTheme();
  return (
    <div className="flex flex-col gap-4">
      <Choice
        label="Theme"
        value={theme}
        onChange={setTheme}
        options={[
          { value: 'system', label: 'System' },
          { value: 'light', label: 'Light' },
          { value: 'dark', label: 'Dark' },
        ]}
      />
      <Choice
        label="Contrast"
        value={contrast}
        onChange={setContrast}
        options={[
          { value: 'system', label: 'System' },
          { value: 'normal', label: 'Normal' },
          { value: 'more', label: 'High' },
        ]}
      />
      <Choice
        label="Wallpaper"
        value={wallpaper}
        onChange={setWallpaper}
        options={WALLPAPERS.map((each) => ({
          value: each,
          name: NAMES[each],
          label: (
            <span
              aria-hidden="true"
              className={cx('h-5 w-full rounded-sm bg-page', each === wallpaper && 'ring-2 ring-accent-text')}
              style={{ backgroundImage: wallpaperOf(each) }}
            />
          ),
        }))}
      />
    </div>
  );
}
