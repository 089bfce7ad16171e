import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { drag, eventually, frame, launch, launchBrowser, rect, visit } from './browser';
import { Server } from './server';

const server = new Server();
const shots = process.env.UOS_SHOTS;
let browser: Browser;
let page: Page;
let faults: string[];

beforeAll(async () => {
  await server.start();
  browser = await launchBrowser();
  ({ page, faults } = await visit(browser, server.ticket));
});

afterAll(async () => {
  await browser?.close();
  await server.remove();
});

/** The server's word on a window, once it is the same as what is on the screen. */
async function agreed(app: string): Promise<Record<string, unknown>> {
  const shown = await rect(frame(page, app));
  const saved = await eventually(
    async () =>
      (await server.http('GET', '/apps')).apps.find(
        (running: { manifest_id: string }) => running.manifest_id === app,
      ),
    (running) =>
      running !== undefined &&
      JSON.stringify({ ...running.window_pos, ...running.window_size }) === JSON.stringify(shown),
    `GET /apps should say ${JSON.stringify(shown)} of ${app}`,
  );
  return saved;
}

test('an app is launched from the launcher, dragged and resized, and the server knows where it is', async () => {
  await launch(page, 'Notes');
  const notes = frame(page, 'notes');
  await notes.waitFor();
  const before = await rect(notes);
  await drag(page, notes, { x: before.x + 60 + 130, y: before.y + 18 + 70 });
  expect(await rect(notes)).toEqual({ ...before, x: before.x + 130, y: before.y + 70 });
  await agreed('notes');
  // From the lower right corner, just outside the visual edge.
  const moved = await rect(notes);
  await page.mouse.move(moved.x + moved.width + 3, moved.y + moved.height + 3);
  await page.mouse.down();
  await page.mouse.move(moved.x + moved.width - 97, moved.y + moved.height - 47, { steps: 5 });
  await page.mouse.up();
  const resized = await rect(notes);
  expect([moved.width - resized.width, moved.height - resized.height]).toEqual([100, 50]);
  await agreed('notes');
});

test('a window snaps to a corner, by mouse with a preview of exactly that place, and by keyboard', async () => {
  const notes = frame(page, 'notes');
  await drag(page, notes, { x: 1, y: 1 }, false);
  const preview = page.getByTestId('snap-preview');
  await preview.waitFor();
  const promised = await rect(preview);
  if (shots) await page.screenshot({ path: `${shots}/snap preview.png` });
  await page.mouse.up();
  expect(await rect(notes)).toEqual(promised);
  expect(promised).toEqual({ x: 0, y: 0, width: 640, height: 376 });
  expect(await agreed('notes')).toMatchObject({ window_state: 'snapped', snap: 'top_left' });
  await page.keyboard.press('Control+Alt+ArrowRight');
  expect((await rect(notes)).x).toBe(640);
  await agreed('notes');
});

test('a double-click maximises and brings back; the taskbar restores what is minimised', async () => {
  const notes = frame(page, 'notes');
  const bar = async () => {
    const box = await rect(notes);
    return [box.x + 120, box.y + 18] as const;
  };
  await page.mouse.dblclick(...(await bar()));
  expect(await rect(notes)).toEqual({ x: 0, y: 0, width: 1280, height: 752 });
  expect(await agreed('notes')).toMatchObject({ window_state: 'maximized' });
  await page.mouse.dblclick(...(await bar()));
  await eventually(
    () => notes.getAttribute('data-state'),
    (state) => state !== 'maximized',
    'it should be back',
  );
  const before = await rect(notes);
  await agreed('notes');
  await notes.getByRole('button', { name: 'Minimise' }).click();
  expect(await notes.getAttribute('data-state')).toBe('minimized');
  await eventually(
    async () => (await server.http('GET', '/apps')).apps[0].window_state,
    (state) => state === 'minimized',
    'the server should know',
  );
  await page.locator('[data-task]').first().click();
  expect(await rect(notes)).toEqual(before);
  await agreed('notes');
});

test('Alt+Tab goes to the window used before, and Escape stays', async () => {
  await launch(page, 'Files');
  const files = frame(page, 'files');
  await files.waitFor();
  expect(await files.getAttribute('data-focused')).toBe('true');
  await page.keyboard.down('Alt');
  await page.keyboard.press('Tab');
  await page.getByTestId('switcher').waitFor();
  await page.keyboard.up('Alt');
  expect(await frame(page, 'notes').getAttribute('data-focused')).toBe('true');
  await page.keyboard.down('Alt');
  await page.keyboard.press('Tab');
  await page.keyboard.press('Escape');
  await page.keyboard.up('Alt');
  expect(await frame(page, 'notes').getAttribute('data-focused')).toBe('true');
});

test('a window that the page grew too small for is still within reach', async () => {
  const notes = frame(page, 'notes');
  await drag(page, notes, { x: 1100, y: 640 });
  expect((await rect(notes)).x).toBeGreaterThan(700);
  await page.setViewportSize({ width: 700, height: 500 });
  await eventually(
    () => rect(notes),
    ({ x, y }) => x <= 700 - 64 && y <= 500 - 48 - 36,
    'it should be within the smaller page',
  );
  await page.setViewportSize({ width: 1280, height: 800 });
});

test('closing an app closes its child and ends both processes', async () => {
  const { apps } = await server.http('GET', '/apps');
  const parent = apps.find((app: { manifest_id: string }) => app.manifest_id === 'files');
  const child = await server.http('POST', '/registry/apps/notes/launch', { parent_id: parent.id });
  const shown = page.locator(`[data-window-id="${child.window_id}"]`);
  await shown.waitFor();
  await page.locator(`[data-window-id="${parent.window_id}"]`).waitFor();
  await page.locator(`[data-task="${parent.window_id}"]`).click();
  await page.keyboard.press('Control+Alt+w');
  await shown.waitFor({ state: 'detached' });
  const left = (await server.http('GET', '/apps')).apps.map((app: { id: string }) => app.id);
  expect(left).not.toContain(parent.id);
  expect(left).not.toContain(child.id);
  expect(faults).toEqual([]);
});
