import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { clear, drag, enter, eventually, frame, launch, launchBrowser, rect } from './browser';
import { Server } from './server';

const server = new Server();
let browser: Browser;
let one: Page;
let other: Page;
let faults: string[];

beforeAll(async () => {
  await server.start();
  browser = await launchBrowser();
  const first = await enter(browser, server);
  const second = await enter(browser, server);
  one = first.page;
  other = second.page;
  faults = first.faults;
});

afterAll(async () => {
  await browser?.close();
  await server.remove();
});

beforeEach(async () => {
  await clear(server);
  for (const page of [one, other]) await page.getByText('Nothing is open.').waitFor();
  await launch(one, 'Notes');
  for (const page of [one, other]) await frame(page, 'notes').waitFor();
});

const place = async (page: Page) => {
  const { x, y } = await rect(frame(page, 'notes'));
  return { x, y };
};
const saved = async () => (await server.http('GET', '/apps')).apps[0].window_pos;
const moveBy = async (page: Page, x: number, y: number) => {
  const box = await rect(frame(page, 'notes'));
  await drag(page, frame(page, 'notes'), { x: box.x + 60 + x, y: box.y + 18 + y });
};

/** Waits until both tabs and the server agree; returns on what. */
async function agreed(): Promise<{ x: number; y: number }> {
  const [at] = await eventually(
    async () => [await place(one), await place(other), await saved()],
    (places) => new Set(places.map(({ x, y }) => `${x} ${y}`)).size === 1,
    'both tabs and the server should agree',
  );
  return at;
}

test('a move and a text in one tab show in the other', async () => {
  const before = await place(one);
  await moveBy(one, 140, 60);
  expect(await agreed()).toEqual({ x: before.x + 140, y: before.y + 60 });
  await moveBy(other, -40, 20);
  expect(await agreed()).toEqual({ x: before.x + 100, y: before.y + 80 });
  await frame(one, 'notes').getByRole('button', { name: 'New note' }).first().click();
  await frame(one, 'notes').locator('textarea').fill('from one');
  const there = frame(other, 'notes').locator('textarea');
  await there.waitFor();
  await eventually(
    () => there.inputValue(),
    (text) => text === 'from one',
    'the text should arrive',
  );
});

test('two moves on the same version end in one place everywhere, and the desktop goes on', async () => {
  // The server holds the first tab’s change back until the second one’s is in: it is stale when it arrives.
  let release = () => {};
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  await one.route(/\/apps\/[^/]+\/window$/, async (route) => {
    await held;
    await route.continue();
  });
  await moveBy(one, 200, 0);
  await moveBy(other, 0, 120);
  const winner = await place(other);
  await eventually(
    saved,
    (at) => at.x === winner.x && at.y === winner.y,
    'the other tab’s move should be in',
  );
  release();
  await one.unrouteAll({ behavior: 'wait' });
  expect(await agreed()).toEqual(winner);
  await moveBy(one, 30, 30);
  expect(await agreed()).toEqual({ x: winner.x + 30, y: winner.y + 30 });
});

test('a text that lost to another tab is not lost: it is offered back', async () => {
  await frame(one, 'notes').getByRole('button', { name: 'New note' }).first().click();
  const mine = frame(one, 'notes').locator('textarea');
  const theirs = frame(other, 'notes').locator('textarea');
  await theirs.waitFor();
  let release = () => {};
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  await one.route(/\/apps\/[^/]+\/state/, async (route) => {
    await held;
    await route.continue();
  });
  await mine.fill('mine');
  await theirs.fill('theirs');
  const state = async () => JSON.stringify((await server.http('GET', '/apps')).apps[0].state);
  await eventually(state, (text) => text.includes('theirs'), 'the other tab’s text should be in');
  release();
  await one.unrouteAll({ behavior: 'wait' });
  await eventually(
    () => mine.inputValue(),
    (text) => text === 'theirs',
    'the first was first',
  );
  await one.getByRole('button', { name: 'Use mine' }).click();
  await eventually(state, (text) => text.includes('"mine"'), 'mine should be saved');
  await eventually(
    () => theirs.inputValue(),
    (text) => text === 'mine',
    'and shown in both',
  );
});

test('what is done while the network is away waits, is counted, and arrives', async () => {
  await frame(one, 'notes').getByRole('button', { name: 'New note' }).first().click();
  await eventually(
    async () => (await server.http('GET', '/apps')).apps[0].state?.notes?.length,
    (count) => count === 1,
    'the note should be saved',
  );
  const before = await saved();
  await one.context().setOffline(true);
  await moveBy(one, 90, 70);
  await frame(one, 'notes').locator('textarea').fill('written offline');
  await one.getByTestId('offline').getByText('2 to save').waitFor();
  await frame(one, 'notes').getByText('offline, kept here').waitFor();
  expect(await saved()).toEqual(before);
  await one.context().setOffline(false);
  await one.getByTestId('offline').waitFor({ state: 'detached' });
  expect(await agreed()).toEqual({ x: before.x + 90, y: before.y + 70 });
  const text = frame(other, 'notes').locator('textarea');
  await eventually(
    () => text.inputValue(),
    (value) => value === 'written offline',
    'the text should arrive',
  );
});

test('what is done while the server is down arrives when it is back', async () => {
  await frame(one, 'notes').getByRole('button', { name: 'New note' }).first().click();
  await eventually(
    async () => (await server.http('GET', '/apps')).apps[0].state?.notes?.length,
    (count) => count === 1,
    'the note should be saved',
  );
  const before = await saved();
  await server.kill('SIGKILL');
  await moveBy(one, 50, 40);
  await frame(one, 'notes').locator('textarea').fill('while it was down');
  await frame(one, 'notes').getByText('offline, kept here').waitFor();
  await server.start();
  expect(await agreed()).toEqual({ x: before.x + 50, y: before.y + 40 });
  await eventually(
    async () => JSON.stringify((await server.http('GET', '/apps')).apps[0].state),
    (state) => state.includes('while it was down'),
    'the text should be saved',
  );
  expect(faults).toEqual([]);
});
