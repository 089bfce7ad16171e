import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fakeWindow } from '../fake';
import {
  adopt,
  CONTROLS_WIDTH,
  cascade,
  clampBounds,
  contains,
  detached,
  GRIP_WIDTH,
  intersection,
  keyboardMove,
  minimized,
  moved,
  placed,
  type Rect,
  resized,
  restored,
  type Size,
  SNAP_ZONES,
  snapped,
  TITLE_BAR_HEIGHT,
  type WindowModel,
  workArea,
  zoneAt,
  zoneRect,
} from '.';

const page = fc.record({
  width: fc.integer({ min: 200, max: 4000 }),
  height: fc.integer({ min: 120, max: 2600 }),
});
const coordinate = fc.integer({ min: -9000, max: 9000 });
const rect = fc.record({
  x: coordinate,
  y: coordinate,
  width: fc.integer({ min: -10, max: 6000 }),
  height: fc.integer({ min: -10, max: 6000 }),
});
const zone = fc.constantFrom(...SNAP_ZONES);
const target = fc.constantFrom(...SNAP_ZONES, 'maximize' as const);

/** Said without the arithmetic of clampBounds: enough of the part that drags lies inside the work area. */
function reachable(bounds: Rect, area: Rect): boolean {
  const grip = { x: bounds.x, y: bounds.y, width: bounds.width - CONTROLS_WIDTH, height: TITLE_BAR_HEIGHT };
  if (grip.width < GRIP_WIDTH) {
    return bounds.x >= 0 && bounds.x + bounds.width <= area.width && bounds.y >= 0 && bounds.y < area.height;
  }
  const seen = intersection(grip, area);
  const whole = Math.min(TITLE_BAR_HEIGHT, area.height);
  return seen !== null && seen.width >= GRIP_WIDTH && seen.height >= whole && bounds.y >= 0;
}

describe('clampBounds', () => {
  it('leaves every window where it can be taken', () => {
    fc.assert(
      fc.property(rect, page, (wild, size) => {
        const area = workArea(size);
        const bounds = clampBounds(wild, area);
        expect(reachable(bounds, area)).toBe(true);
        expect(bounds.width).toBeLessThanOrEqual(area.width);
        expect(bounds.height).toBeLessThanOrEqual(area.height);
        expect(bounds.width).toBeGreaterThanOrEqual(Math.min(320, area.width));
        expect(bounds.height).toBeGreaterThanOrEqual(Math.min(200, area.height));
      }),
    );
  });

  it('changes nothing the second time', () => {
    fc.assert(
      fc.property(rect, page, rect, (wild, size, min) => {
        const once = clampBounds(wild, workArea(size), min);
        expect(clampBounds(once, workArea(size), min)).toEqual(once);
      }),
    );
  });

  it('leaves alone what is wholly in sight and large enough', () => {
    const bounds = { x: 10, y: 20, width: 500, height: 400 };
    expect(clampBounds(bounds, { width: 1280, height: 752 })).toEqual(bounds);
  });

  it('shows whole what it had to cut', () => {
    const bounds = { x: 300, y: 90, width: 900, height: 700 };
    expect(clampBounds(bounds, { width: 800, height: 1000 })).toEqual({ ...bounds, x: 0, width: 800 });
    expect(clampBounds(bounds, { width: 1200, height: 400 })).toEqual({ ...bounds, y: 0, height: 400 });
  });

  it('turns what is no number into a place', () => {
    const bounds = clampBounds(
      { x: Number.NaN, y: Number.NaN, width: Number.NaN, height: 300 },
      { width: 900, height: 700 },
    );
    expect(Object.values(bounds).every(Number.isInteger)).toBe(true);
  });
});

describe('zones', () => {
  const tilings = [
    ['left', 'right'],
    ['top_left', 'top_right', 'bottom_left', 'bottom_right'],
    ['left', 'top_right', 'bottom_right'],
    ['top_left', 'bottom_left', 'right'],
  ] as const;

  it('tile the area without gap or overlap, odd sizes too', () => {
    fc.assert(
      fc.property(page, fc.constantFrom(...tilings), (size, zones) => {
        const area = workArea(size);
        const rects = zones.map((name) => zoneRect(name, area));
        const covered = rects.reduce((sum, { width, height }) => sum + width * height, 0);
        expect(covered).toBe(area.width * area.height);
        for (const [at, one] of rects.entries()) {
          expect(Object.values(one).every(Number.isInteger)).toBe(true);
          expect(intersection(one, area)).toEqual(one);
          for (const other of rects.slice(at + 1)) expect(intersection(one, other)).toBeNull();
        }
      }),
    );
  });

  it('contain the pointer that chose them, unless it had left the area', () => {
    fc.assert(
      fc.property(
        page,
        fc.double({ min: 0, max: 0.999, noNaN: true }),
        fc.double({ min: 0, max: 0.999, noNaN: true }),
        (size, px, py) => {
          const area = workArea(size);
          const pointer = { x: px * area.width, y: py * area.height };
          const chosen = zoneAt(pointer, area);
          if (chosen) expect(contains(zoneRect(chosen, area), pointer)).toBe(true);
        },
      ),
    );
  });

  it.each([
    [{ x: 0, y: 400 }, 'left'],
    [{ x: 1279, y: 400 }, 'right'],
    [{ x: 640, y: 0 }, 'maximize'],
    [{ x: 640, y: -5 }, 'maximize'],
    [{ x: 2, y: 2 }, 'top_left'],
    [{ x: 100, y: 2 }, 'top_left'],
    [{ x: 1278, y: 30 }, 'top_right'],
    [{ x: 3, y: 740 }, 'bottom_left'],
    [{ x: 1270, y: 800 }, 'bottom_right'],
    [{ x: 640, y: 760 }, null],
    [{ x: 640, y: 400 }, null],
  ])('a pointer at %j lands in %s', (pointer, expected) => {
    expect(zoneAt(pointer, { width: 1280, height: 752 })).toBe(expected);
  });
});

type Act = (window: WindowModel, size: Size) => [WindowModel, Size];
const act: fc.Arbitrary<Act> = fc.oneof(
  rect.map(
    ({ x, y }): Act =>
      (w, s) => [moved(w, { x, y }, s), s],
  ),
  rect.map(
    (to): Act =>
      (w, s) => [resized(w, to, s), s],
  ),
  target.map(
    (to): Act =>
      (w, s) => [snapped(w, to, s), s],
  ),
  page.map(
    (next): Act =>
      (w) => [placed(w, next), next],
  ),
  rect.map(
    ({ x, y }): Act =>
      (w, s) => [resized(w, detached(w, { x, y }, s), s), s],
  ),
  fc.constant<Act>((w, s) => [restored(minimized(w), s), s]),
  fc.constant<Act>((w, s) => [restored(w, s), s]),
);

describe('any sequence of moves, resizes, snaps and page changes', () => {
  it('keeps the window reachable and its restore state honest', () => {
    fc.assert(
      fc.property(rect, page, fc.array(act, { maxLength: 25 }), (start, first, acts) => {
        let size = first;
        let window = adopt(fakeWindow('w', { bounds: start }), size);
        for (const next of acts) {
          [window, size] = next(window, size);
          expect(reachable(window.bounds, workArea(size))).toBe(true);
          expect(window.restoreState).toBe(window.state);
          expect(window.snap === null).toBe(window.state !== 'snapped');
        }
        expect(reachable(restored(window, size).bounds, workArea(size))).toBe(true);
      }),
      { numRuns: 300 },
    );
  });

  it('gives a window its size back after the page was small for a while', () => {
    const large = { width: 1600, height: 1000 };
    const window = adopt(fakeWindow('w', { bounds: { x: 700, y: 300, width: 800, height: 600 } }), large);
    const back = placed(placed(window, { width: 500, height: 400 }), large);
    expect(back).toEqual(window);
  });

  it('fills a page that has room for one, and forgets nothing by it', () => {
    const large = { width: 1600, height: 1000 };
    const phone = { width: 390, height: 780 };
    for (const to of [null, 'left', 'top_right'] as const) {
      const normal = adopt(fakeWindow('w', { bounds: { x: 700, y: 300, width: 800, height: 600 } }), large);
      const window = to ? snapped(normal, to, large) : normal;
      expect(placed(window, phone).bounds).toEqual(workArea(phone));
      // Also when it was taken in anew there, and only there.
      expect(placed(adopt(placed(window, phone), phone), large)).toEqual(window);
    }
  });

  it('goes from snapped back to where it was', () => {
    fc.assert(
      fc.property(rect, page, fc.array(target, { minLength: 1, maxLength: 5 }), (start, size, targets) => {
        const window = adopt(fakeWindow('w', { bounds: start }), size);
        const there = targets.reduce((now, next) => snapped(now, next, size), window);
        expect(restored(there, size).bounds).toEqual(window.bounds);
      }),
    );
  });
});

describe('detached', () => {
  it('keeps the pointer over the window', () => {
    fc.assert(
      fc.property(zone, page, fc.double({ min: 0, max: 1, noNaN: true }), (name, size, share) => {
        const window = snapped(adopt(fakeWindow('w'), size), name, size);
        const pointer = { x: window.bounds.x + share * window.bounds.width, y: window.bounds.y + 10 };
        const free = detached(window, pointer, size);
        expect(pointer.x).toBeGreaterThanOrEqual(free.x - 1);
        expect(pointer.x).toBeLessThanOrEqual(free.x + free.width + 1);
      }),
    );
  });
});

describe('cascade', () => {
  it('stays in the area and takes a place of its own while there is room', () => {
    const area = { width: 1280, height: 752 };
    const taken: Rect[] = [];
    for (let at = 0; at < 5; at += 1) {
      const next = cascade({ width: 640, height: 420 }, taken, area);
      expect(intersection(next, { x: 0, y: 0, ...area })).toEqual(next);
      expect(taken.some((other) => other.x === next.x && other.y === next.y)).toBe(false);
      taken.push(next);
    }
  });
});

describe('keyboardMove', () => {
  it.each([
    ['normal', null, 'left', { snap: 'left' }],
    ['snapped', 'left', 'up', { snap: 'top_left' }],
    ['snapped', 'top_left', 'right', { snap: 'top_right' }],
    ['snapped', 'left', 'right', 'restore'],
    ['normal', null, 'up', { snap: 'maximize' }],
    ['maximized', null, 'down', 'restore'],
    ['normal', null, 'down', 'minimize'],
    ['snapped', 'bottom_left', 'down', 'minimize'],
    ['fullscreen', null, 'left', null],
  ] as const)('%s %s and %s', (state, snap, direction, expected) => {
    expect(keyboardMove({ state, snap }, direction)).toEqual(expected);
  });

  it('reaches every zone from every zone', () => {
    for (const from of SNAP_ZONES) {
      const seen = new Set<string>([from]);
      const queue: string[] = [from];
      for (let name = queue.shift(); name !== undefined; name = queue.shift()) {
        const at =
          name === 'maximize'
            ? { state: 'maximized' as const, snap: null }
            : { state: 'snapped' as const, snap: name as (typeof SNAP_ZONES)[number] };
        for (const direction of ['left', 'right', 'up', 'down'] as const) {
          const move = keyboardMove(at, direction);
          if (move && typeof move === 'object' && !seen.has(move.snap)) {
            seen.add(move.snap);
            queue.push(move.snap);
          }
        }
      }
      expect([...seen].sort()).toEqual([...SNAP_ZONES, 'maximize'].sort());
    }
  });
});
