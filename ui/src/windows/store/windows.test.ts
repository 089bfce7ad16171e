import { beforeEach, describe, expect, it, vi } from 'vitest';
import { fakeWindow } from '../fake';
import { useDrag } from './drag';
import { coversTaskbar, groupedWindows, recentWindows } from './selectors';
import { onSettled } from './settled';
import { useWindows } from './windows';

const page = { width: 1280, height: 800 };
const store = () => useWindows.getState();
const get = (id: string) => {
  const window = store().windows[id];
  if (!window) throw new Error(`no window ${id}`);
  return window;
};

beforeEach(() => {
  useWindows.setState({ windows: {}, order: [], focused: null, page, workspace: 0 });
  useDrag.getState().end();
});

function heard() {
  const calls: [string, string][] = [];
  const stop = onSettled((window, why) => calls.push([window.id, why]));
  return { calls, stop };
}

describe('the window store', () => {
  it('opens in front and focused, and gives the focus on when it is removed', () => {
    store().open(fakeWindow('a', { z: 1 }));
    store().open(fakeWindow('b', { z: 2 }));
    expect(store().focused).toBe('b');
    store().remove('b');
    expect(store().focused).toBe('a');
    expect(store().order).toEqual(['a']);
  });

  it('replaces the whole desktop in one change', () => {
    store().open(fakeWindow('old'));
    const renders = vi.fn();
    const stop = useWindows.subscribe(renders);
    store().replaceAll([fakeWindow('a', { z: 5 }), fakeWindow('b', { z: 9 }), fakeWindow('c', { z: 1 })]);
    stop();
    expect(renders).toHaveBeenCalledTimes(1);
    expect(store().focused).toBe('b');
    expect(Object.keys(store().windows).sort()).toEqual(['a', 'b', 'c']);
  });

  it('leaves every other window the same object', () => {
    store().replaceAll([fakeWindow('a'), fakeWindow('b', { z: 2 })]);
    const other = get('b');
    store().move('a', { x: 200, y: 100 });
    expect(get('b')).toBe(other);
    expect(get('a').bounds).toMatchObject({ x: 200, y: 100 });
  });

  it('settles what changed, once, and nothing that did not', () => {
    store().replaceAll([fakeWindow('a'), fakeWindow('b', { z: 2 })]);
    const { calls, stop } = heard();
    store().move('a', { x: 200, y: 100 });
    store().move('a', { x: 200, y: 100 });
    store().snap('a', 'left');
    store().snap('a', 'left');
    store().focus('b');
    store().focus('a');
    store().minimize('a');
    store().restore('a');
    store().setViewport({ width: 900, height: 700 });
    store().applyRemote(fakeWindow('b', { version: 4, bounds: { x: 1, y: 2, width: 400, height: 300 } }));
    stop();
    expect(calls).toEqual([
      ['a', 'move'],
      ['a', 'snap'],
      ['a', 'focus'],
      ['a', 'minimize'],
      ['a', 'restore'],
    ]);
  });

  it('snaps, maximises and goes back', () => {
    store().open(fakeWindow('a'));
    const before = get('a').bounds;
    store().snap('a', 'top_left');
    expect(get('a')).toMatchObject({
      state: 'snapped',
      snap: 'top_left',
      bounds: { x: 0, y: 0, width: 640, height: 376 },
    });
    store().toggleMaximize('a');
    expect(get('a')).toMatchObject({ state: 'maximized', snap: null, bounds: { width: 1280, height: 752 } });
    store().toggleMaximize('a');
    expect(get('a')).toMatchObject({ state: 'normal', bounds: before });
  });

  it('brings a minimised window back as what it was', () => {
    store().open(fakeWindow('a'));
    store().snap('a', 'right');
    store().minimize('a');
    expect(store().focused).toBeNull();
    expect(get('a')).toMatchObject({ state: 'minimized', restoreState: 'snapped', snap: 'right' });
    store().setViewport({ width: 1001, height: 801 });
    store().focus('a');
    expect(get('a')).toMatchObject({ state: 'snapped', bounds: { x: 501, width: 500, height: 753 } });
  });

  it('lets snapped and maximised windows follow the page and clamps the others', () => {
    store().replaceAll([
      fakeWindow('n', { bounds: { x: 900, y: 600, width: 350, height: 250 } }),
      fakeWindow('m', { state: 'maximized', restoreState: 'maximized' }),
      fakeWindow('f', { state: 'fullscreen', restoreState: 'fullscreen', z: 3 }),
    ]);
    store().setViewport({ width: 700, height: 500 });
    expect(get('n').bounds).toEqual({ x: 636, y: 416, width: 350, height: 250 });
    expect(get('m').bounds).toEqual({ x: 0, y: 0, width: 700, height: 452 });
    expect(get('f').bounds).toEqual({ x: 0, y: 0, width: 700, height: 500 });
    expect(coversTaskbar(store())).toBe(true);
  });

  it('keeps a dragged window in the hand when the server speaks', () => {
    store().open(fakeWindow('a'));
    useDrag.getState().begin('a');
    store().applyRemote(
      fakeWindow('a', { title: 'New', bounds: { x: 0, y: 0, width: 400, height: 300 }, version: 7 }),
    );
    expect(get('a')).toMatchObject({
      title: 'New',
      version: 7,
      bounds: { x: 80, y: 60, width: 640, height: 420 },
    });
  });

  it('keeps the dirty mark through what the server sends', () => {
    store().open(fakeWindow('a'));
    store().setDirty('a', true);
    store().applyRemote(fakeWindow('a', { version: 2 }));
    expect(get('a').dirty).toBe(true);
  });

  it('orders by what was used last, and groups by app', () => {
    store().replaceAll([
      fakeWindow('a', { z: 1 }),
      fakeWindow('b', { z: 2, manifestId: 'files' }),
      fakeWindow('c', { z: 3 }),
    ]);
    store().focus('a');
    expect(recentWindows(store()).map((window) => window.id)).toEqual(['a', 'c', 'b']);
    expect(groupedWindows(store()).map((group) => [group.manifestId, group.windows.length])).toEqual([
      ['notes', 2],
      ['files', 1],
    ]);
  });
});
