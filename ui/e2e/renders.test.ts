import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { enter, launchBrowser, rect } from './browser';
import { Server } from './server';

const server = new Server();
let browser: Browser;
let page: Page;

/**
 * Stands where React looks for its developer tools, which are told of every commit, and walks what was drawn as they
 * do. `performed` is React's own mark of a component that ran. Counts by window; `shell` is all outside of one.
 */
const WATCH = `
  const counts = {};
  const performed = 1;
  const components = new Set([0, 1, 11, 14, 15]);
  const windows = () => new Set([...document.querySelectorAll('[data-window-id]')].map((each) => each.dataset.windowId));
  function walk(fiber, known, owner) {
    const props = fiber.memoizedProps ?? {};
    const here = props['data-window-id'] ?? (known.has(props.id) ? props.id : owner);
    const before = fiber.alternate;
    if (before !== null && components.has(fiber.tag) && (fiber.flags & performed) !== 0) counts[here] = (counts[here] ?? 0) + 1;
    if (before !== null && fiber.child === before.child) return;
    for (let child = fiber.child; child !== null; child = child.sibling) walk(child, known, here);
  }
  globalThis.__REACT_DEVTOOLS_GLOBAL_HOOK__ = {
    supportsFiber: true,
    renderers: new Map(),
    inject: () => 1,
    onCommitFiberRoot: (_id, root) => walk(root.current, windows(), 'shell'),
    onCommitFiberUnmount: () => undefined,
    onPostCommitFiberRoot: () => undefined,
  };
  globalThis.renders = {
    counts,
    reset: () => { for (const key of Object.keys(counts)) delete counts[key]; },
  };
`;

beforeAll(async () => {
  await server.start();
  browser = await launchBrowser();
  const open = async (app: string) => server.http('POST', `/registry/apps/${app}/launch`, {});
  for (let at = 0; at < 19; at += 1) await open(at % 2 === 0 ? 'notes' : 'files');
  const app = await open('hub');
  await server.http('POST', `/apps/${app.id}/window`, {
    window_id: app.window_id,
    position: { x: 100, y: 60 },
    size: { width: 600, height: 400 },
    state: 'normal',
  });
  ({ page } = await enter(browser, server, { first: WATCH }));
  await page.locator('[data-app="hub"]').getByText('Open').first().waitFor();
  await atRest();
});

afterAll(async () => {
  await browser?.close();
  await server.remove();
});

interface Counted {
  counts: Record<string, number>;
  reset: () => void;
}

/** Who has drawn between the first and the last step; the press and the release are not looked at. */
async function during(steps: () => Promise<void>): Promise<Record<string, number>> {
  await page.evaluate(() => (globalThis as unknown as { renders: Counted }).renders.reset());
  await steps();
  return page.evaluate(() => ({ ...(globalThis as unknown as { renders: Counted }).renders.counts }));
}

/** Waits until no window draws any more: those that show files do so once more when what they show has come. */
async function atRest(): Promise<void> {
  for (;;) {
    const { shell: _shell, ...windows } = await during(() => page.waitForTimeout(500));
    if (Object.keys(windows).length === 0) return;
  }
}

const hub = () => page.locator('[data-app="hub"]');

test('of 20 windows, the one that is dragged is the only one that draws', async () => {
  expect(await page.locator('[data-window-id]').count()).toBe(20);
  const id = (await hub().getAttribute('data-window-id')) as string;
  const box = await rect(hub());
  await page.mouse.move(box.x + 80, box.y + 18);
  await page.mouse.down();
  // Past the threshold, where a drag begins.
  await page.mouse.move(box.x + 100, box.y + 30, { steps: 3 });
  const drawn = await during(async () => {
    await page.mouse.move(box.x + 220, box.y + 120, { steps: 30 });
  });
  await page.mouse.up();
  expect((await rect(hub())).x).toBe(box.x + 140);
  expect(drawn[id], 'the watch sees the one that is dragged').toBeGreaterThanOrEqual(20);
  // The taskbar draws its two graphs every other second, drag or no drag.
  const { [id]: _dragged, shell: _shell, ...others } = drawn;
  expect(others).toEqual({});
});

test('of 20 windows, the one that is resized is the only one that draws', async () => {
  const id = (await hub().getAttribute('data-window-id')) as string;
  const box = await rect(hub());
  await page.mouse.move(box.x + box.width + 3, box.y + box.height + 3);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width - 10, box.y + box.height - 10, { steps: 3 });
  const drawn = await during(async () => {
    await page.mouse.move(box.x + box.width - 110, box.y + box.height - 90, { steps: 30 });
  });
  await page.mouse.up();
  expect((await rect(hub())).width).toBe(box.width - 113);
  expect(drawn[id], 'the watch sees the one that is resized').toBeGreaterThanOrEqual(20);
  const { [id]: _resized, shell: _shell, ...others } = drawn;
  expect(others).toEqual({});
});

test('what an app draws does not depend on where its window is', async () => {
  const id = (await hub().getAttribute('data-window-id')) as string;
  const box = await rect(hub());
  await page.mouse.move(box.x + 80, box.y + 18);
  await page.mouse.down();
  await page.mouse.move(box.x + 100, box.y + 30, { steps: 3 });
  // react-rnd's frame, what drags and what resizes: a few components, and none of the app inside.
  const drawn = await during(() => page.mouse.move(box.x + 130, box.y + 60));
  await page.mouse.up();
  expect(drawn[id]).toBeLessThanOrEqual(6);
});
