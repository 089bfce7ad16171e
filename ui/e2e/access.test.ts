import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { violations } from './axe';
import { clear, enter, eventually, frame, launch, launchBrowser } from './browser';
import { Server } from './server';

const server = new Server();
let browser: Browser;
const shots = process.env.UOS_SHOTS;

beforeAll(async () => {
  await server.start();
  browser = await launchBrowser();
});

afterAll(async () => {
  await browser?.close();
  await server.remove();
});

const APPS = [
  ['hub', 'Hub'],
  ['files', 'Files'],
  ['notes', 'Notes'],
  ['monitor', 'System Monitor'],
] as const;

async function openAll(page: Page): Promise<void> {
  for (const [id, title] of APPS) {
    await launch(page, title);
    await frame(page, id).last().waitFor();
  }
  await page.locator('[data-app="monitor"] [data-pid]').first().waitFor();
}

const press = (name: string | RegExp) => (page: Page) => page.getByRole('button', { name }).first().click();
const keys = (chord: string) => (page: Page) => page.keyboard.press(chord);

/** Everything that comes up over the desktop: how it comes, and what then stands there. */
const OVERLAYS: readonly [name: string, open: (page: Page) => Promise<unknown>, is: string][] = [
  ['launcher', keys('Control+k'), '[data-testid="launcher"]'],
  ['shortcuts', keys('F1'), '[role="dialog"]:has([data-testid="shortcuts"])'],
  ['sessions', press('Sessions'), '[role="dialog"][aria-label="Sessions"]'],
  ['notifications', press(/^Notifications/), '[role="dialog"][aria-label^="Notifications"]'],
  ['look', press('Look'), '[role="dialog"][aria-label="Look"]'],
  ['shield', press('What System Monitor may do'), '[role="dialog"]:has(dl)'],
  ['windows of an app', press('Notes 2 windows'), '[role="dialog"][aria-label="Windows of Notes"]'],
  [
    'window menu',
    async (page) => frame(page, 'monitor').locator('.window-drag').click({ button: 'right' }),
    '[role="menu"]',
  ],
  [
    'kill',
    async (page) => {
      await frame(page, 'monitor').getByRole('row').filter({ hasText: 'hub' }).click();
      await frame(page, 'monitor').getByRole('button', { name: 'Kill' }).click();
    },
    '[role="dialog"]:has-text("Kill hub")',
  ],
  [
    'add an app',
    async (page) => {
      await page.locator('[data-task]').first().click();
      await frame(page, 'hub').getByRole('button', { name: 'Add an app' }).click();
    },
    '[role="dialog"]:has-text("Add an app"):not([data-window-id])',
  ],
];

const LOOKS = [
  ['light', {}],
  ['dark', { dark: true }],
  ['light, high contrast', { contrast: true }],
  ['dark, high contrast', { dark: true, contrast: true }],
] as const;

for (const [look, options] of LOOKS) {
  test(`the desktop, each app and all that comes up over them have no accessibility fault, ${look}`, async () => {
    await clear(server);
    const { page, context, faults } = await enter(browser, server, options);
    expect(await page.locator('html').getAttribute('data-contrast')).toBe(
      'contrast' in options ? 'more' : 'normal',
    );
    await page.getByText('Nothing is open.').waitFor();
    // Everything is judged once; in the other looks their colours, which is where they differ.
    const only = look === 'light' ? undefined : 'color-contrast';
    expect(await violations(page, undefined, only), 'nothing open').toEqual([]);
    await launch(page, 'Notes');
    await openAll(page);
    expect(await violations(page, undefined, only), 'all open').toEqual([]);
    if (shots) await page.screenshot({ path: `${shots}/${look}.png` });
    const found: Record<string, string[]> = {};
    for (const [name, open, is] of OVERLAYS) {
      await open(page);
      const overlay = page.locator(is).last();
      await overlay.waitFor();
      await overlay.evaluate((element) => element.setAttribute('data-judged', ''));
      const wrong = await violations(page, only && '[data-judged]', only);
      if (wrong.length > 0) found[name] = wrong;
      if (shots) await page.screenshot({ path: `${shots}/${look} ${name}.png` });
      await page.keyboard.press('Escape');
      await overlay.waitFor({ state: 'hidden' });
    }
    expect(found).toEqual({});
    expect(faults).toEqual([]);
    await context.close();
  });
}

test('a tip, a toast and an ended process have no accessibility fault', async () => {
  await clear(server);
  const { page, context } = await enter(browser, server);
  await launch(page, 'Files');
  await frame(page, 'files').waitFor();
  const { pid } = (await server.http('GET', '/apps')).apps[0];
  await frame(page, 'files').getByRole('button', { name: 'New folder' }).first().click();
  await page.keyboard.type('a');
  await page.keyboard.press('Enter');
  const folder = frame(page, 'files').getByRole('row', { name: /^folder a/ });
  await folder.waitFor();
  await eventually(
    () => folder.evaluate((row) => row.contains(document.activeElement)),
    (is) => is,
    'the keyboard should be at the new folder',
  );
  await page.keyboard.press('Delete');
  await page.getByText('“a” moved to the bin.').waitFor();
  await page.keyboard.press('Tab');
  await frame(page, 'files').getByRole('button', { name: 'Upload', exact: true }).hover();
  await page.getByRole('tooltip').waitFor();
  expect(await violations(page), 'a tip and a toast').toEqual([]);
  await page.mouse.move(5, 5);
  await launch(page, 'System Monitor');
  await page.locator(`[data-pid="${pid}"]`).click();
  await page.getByRole('button', { name: 'Kill' }).click();
  await page.getByRole('button', { name: 'Kill files' }).click();
  await page.locator('[data-task]').first().click();
  await page.getByRole('button', { name: 'Restart', exact: true }).waitFor();
  expect(await violations(page), 'an ended process').toEqual([]);
  await page.getByRole('button', { name: 'Restart', exact: true }).click();
  await eventually(
    async () => (await server.http('GET', '/apps')).apps[0].pid,
    (now) => now !== null && now !== pid,
    'it should have a new process',
  );
  await context.close();
});

test('a stranger gets the login page, and its token field works', async () => {
  const context = await browser.newContext();
  const page = await context.newPage();
  await page.goto(server.url);
  await page.getByLabel('Token').fill('not the token');
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByRole('alert').waitFor();
  expect(await violations(page)).toEqual([]);
  await page.getByLabel('Token').fill(server.token);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByTestId('taskbar').waitFor();
  await context.close();
});
