import type { Browser, CDPSession, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { enter, launchBrowser, rect } from '../e2e/browser';
import { Server } from '../e2e/server';
import { type Frames, framesOf, type TraceEvent } from './frames';

/** What the main thread may do per frame, in milliseconds of CPU: half of a frame at 60 Hz, where a window is moved; all
 *  of it where one is resized, since what is in it is laid out and painted anew each time. */
const MOST_MS = { drag: 8, resize: 16 } as const;
const WINDOWS = 20;
const STEPS = 120;
/** Beside other work on the same machine one round says little; the best of a few says what the page itself costs. */
const ROUNDS = 3;

const server = new Server();
let browser: Browser;
let page: Page;
let cdp: CDPSession;

beforeAll(async () => {
  await server.start();
  browser = await launchBrowser();
  // All four apps: lists, a table that lives, and a running sparkline among them.
  const apps = [
    'monitor',
    ...Array.from({ length: WINDOWS - 2 }, (_, at) => (at % 2 ? 'files' : 'notes')),
    'hub',
  ];
  for (const app of apps) {
    const made = await server.http('POST', `/registry/apps/${app}/launch`, {});
    if (app !== 'hub') continue;
    await server.http('POST', `/apps/${made.id}/window`, {
      window_id: made.window_id,
      position: { x: 100, y: 60 },
      size: { width: 640, height: 420 },
      state: 'normal',
    });
  }
  ({ page } = await enter(browser, server));
  await page.locator('[data-app="monitor"] [data-pid]').first().waitFor();
  await page.locator('[data-app="hub"]').getByText('Open').first().waitFor();
  expect(await page.locator('[data-window-id]').count()).toBe(WINDOWS);
  cdp = await page.context().newCDPSession(page);
});

afterAll(async () => {
  await browser?.close();
  await server.remove();
});

async function traced(run: () => Promise<void>): Promise<Frames> {
  const events: TraceEvent[] = [];
  const collect = ({ value }: { value: unknown[] }) => events.push(...(value as TraceEvent[]));
  cdp.on('Tracing.dataCollected', collect);
  await cdp.send('Tracing.start', {
    traceConfig: {
      includedCategories: [
        'toplevel',
        'devtools.timeline',
        'disabled-by-default-devtools.timeline',
        'blink.user_timing',
      ],
    },
    transferMode: 'ReportEvents',
  });
  await page.evaluate(() => performance.mark('begin'));
  await run();
  await page.evaluate(() => performance.mark('finish'));
  const complete = new Promise((resolve) => cdp.once('Tracing.tracingComplete', resolve));
  await cdp.send('Tracing.end');
  await complete;
  cdp.off('Tracing.dataCollected', collect);
  return framesOf(events);
}

/** One step for each frame that the browser makes, as a hand does. */
async function sweep(from: { x: number; y: number }, reach: { x: number; y: number }): Promise<void> {
  for (let step = 1; step <= STEPS; step += 1) {
    const turn = (step / STEPS) * 4 * Math.PI;
    await page.mouse.move(from.x + reach.x * Math.sin(turn), from.y + reach.y * (1 - Math.cos(turn)));
  }
}

async function measure(
  name: keyof typeof MOST_MS,
  grip: (box: Awaited<ReturnType<typeof rect>>) => { x: number; y: number },
) {
  const hub = page.locator('[data-app="hub"]');
  const rounds: Frames[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    const at = grip(await rect(hub));
    await page.mouse.move(at.x, at.y);
    await page.mouse.down();
    await page.mouse.move(at.x + 10, at.y + 10, { steps: 3 });
    rounds.push(await traced(() => sweep(at, { x: 90, y: 60 })));
    await page.mouse.move(at.x, at.y);
    await page.mouse.up();
  }
  const [best] = rounds.toSorted((one, other) => one.median - other.median);
  if (!best) throw new Error('there was no round');
  const medians = rounds.map(({ median }) => median.toFixed(2)).join(', ');
  console.log(
    `${name}, ${WINDOWS} windows: main thread per frame, median CPU time ${best.median.toFixed(2)} ms, ` +
      `95 % ${best.p95.toFixed(2)} ms, most ${best.most.toFixed(2)} ms, ${best.count} frames (medians ${medians})`,
  );
  expect(best.count, 'frames in a round').toBeGreaterThan(60);
  expect(best.median).toBeLessThanOrEqual(MOST_MS[name]);
}

test('dragging', () => measure('drag', ({ x, y }) => ({ x: x + 80, y: y + 18 })));
test('resizing', () =>
  measure('resize', ({ x, y, width, height }) => ({ x: x + width + 3, y: y + height + 3 })));
