import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { clear, enter, eventually, frame, launch, launchBrowser, rect, visit } from './browser';
import { Server } from './server';

const server = new Server();
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

const press = (chord: string) => page.keyboard.press(chord);
const focusIn = (app: string) =>
  eventually(
    () =>
      page.evaluate(() => document.activeElement?.closest('[data-app]')?.getAttribute('data-app') ?? null),
    (found) => found === app,
    `the keyboard should be in ${app}`,
  );

test('launch, write, snap, switch, send away, bring back and close: all without a pointer', async () => {
  await launch(page, 'Notes');
  await frame(page, 'notes').waitFor();
  await focusIn('notes');
  await frame(page, 'notes').getByRole('button', { name: 'New note' }).waitFor();
  await press('Tab');
  await press('Enter');
  await focusIn('notes');
  await page.keyboard.type('A title');
  await press('Tab');
  await page.keyboard.type('and a text');
  expect(await frame(page, 'notes').locator('textarea').inputValue()).toBe('and a text');

  await press('Control+Alt+ArrowLeft');
  expect(await rect(frame(page, 'notes'))).toEqual({ x: 0, y: 0, width: 640, height: 752 });
  await launch(page, 'Hub');
  await frame(page, 'hub').waitFor();
  await focusIn('hub');
  await press('Control+Alt+ArrowRight');
  await press('Control+Alt+ArrowUp');
  expect(await rect(frame(page, 'hub'))).toEqual({ x: 640, y: 0, width: 640, height: 376 });

  await page.keyboard.down('Alt');
  await press('Tab');
  await page.getByTestId('switcher').waitFor();
  await page.keyboard.up('Alt');
  await focusIn('notes');
  await press('Control+Alt+Enter');
  expect(await frame(page, 'notes').getAttribute('data-state')).toBe('maximized');
  await press('Control+Alt+m');
  expect(await frame(page, 'notes').getAttribute('data-state')).toBe('minimized');
  await focusIn('hub');

  // To the second workspace and after it.
  await press('Control+Alt+Shift+2');
  await frame(page, 'hub').waitFor({ state: 'hidden' });
  await press('Control+Alt+2');
  await frame(page, 'hub').waitFor();
  await focusIn('hub');
  expect(await page.getByRole('button', { name: /^Workspace 2/ }).getAttribute('aria-pressed')).toBe('true');

  await press('Control+Alt+w');
  await frame(page, 'hub').waitFor({ state: 'detached' });
  await eventually(
    async () =>
      (await server.http('GET', '/apps')).apps.map((app: { manifest_id: string }) => app.manifest_id),
    (open) => open.join() === 'notes',
    'only notes should be open',
  );
});

test('the launcher that is called again at once begins anew', async () => {
  for (const words of ['first', 'second', 'third']) {
    await press('Control+k');
    await page.keyboard.type(words);
    expect(await page.getByTestId('launcher').getByRole('combobox').inputValue()).toBe(words);
    await press('Escape');
  }
  await page.getByTestId('launcher').waitFor({ state: 'hidden' });
});

test('a dialog holds the keyboard, gives it back, and Escape leaves it at once', async () => {
  await launch(page, 'Hub');
  await frame(page, 'hub').waitFor();
  const add = frame(page, 'hub').getByRole('button', { name: 'Add an app' });
  await add.focus();
  await press('Enter');
  const dialog = page.getByRole('dialog', { name: 'Add an app' });
  await dialog.waitFor();
  for (let step = 0; step < 12; step += 1) {
    await press('Tab');
    expect(await dialog.evaluate((element) => element.contains(document.activeElement))).toBe(true);
  }
  await press('Escape');
  await dialog.waitFor({ state: 'detached' });
  expect(await add.evaluate((element) => element === document.activeElement)).toBe(true);
});

test('a focus that can be seen goes through the taskbar and into a window', async () => {
  const rings: boolean[] = [];
  await page.getByRole('button', { name: 'Launcher' }).focus();
  for (let step = 0; step < 6; step += 1) {
    await press('Tab');
    rings.push(
      await page.evaluate(() => {
        const element = document.activeElement as HTMLElement;
        return element !== document.body && getComputedStyle(element).outlineStyle !== 'none';
      }),
    );
  }
  expect(rings).toEqual([true, true, true, true, true, true]);
  expect(faults).toEqual([]);
});

test('what is typed and entered before the apps are fetched is launched once they are', async () => {
  // A Hub that is open already would stand for the one that is launched, and its process be found by the same words.
  await clear(server);
  let go: () => void = () => undefined;
  const held = new Promise<void>((resolve) => {
    go = resolve;
  });
  const { context, page: early } = await enter(browser, server, {
    before: (page) =>
      page.route('**/registry/apps', async (route) => {
        await held;
        await route.continue();
      }),
  });
  await launch(early, 'Hub');
  const launcher = early.getByTestId('launcher');
  expect(await launcher.getByRole('combobox').inputValue()).toBe('Hub');
  expect(await frame(early, 'hub').count()).toBe(0);
  go();
  await frame(early, 'hub').waitFor();
  await launcher.waitFor({ state: 'hidden' });
  await context.close();
});
