import type { Browser, CDPSession, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { enter, eventually, frame, launch, launchBrowser, rect } from './browser';
import { kernelOf } from './kernel';
import { Server } from './server';

const server = new Server();
let browser: Browser;
let page: Page;
let cdp: CDPSession;
let faults: string[];

beforeAll(async () => {
  await server.start();
  browser = await launchBrowser();
  ({ page, faults } = await enter(browser, server, { touch: true }));
  cdp = await page.context().newCDPSession(page);
});

afterAll(async () => {
  await browser?.close();
  await server.remove();
});

type Point = readonly [x: number, y: number];

/** Seconds, as the finger’s own clock has them: a gesture is no slower because the machine is busy. */
let clock = Date.now() / 1000;

function finger(type: 'touchStart' | 'touchMove' | 'touchEnd', at?: Point): Promise<unknown> {
  clock += 0.02;
  const touchPoints = at ? [{ x: at[0], y: at[1] }] : [];
  return cdp.send('Input.dispatchTouchEvent', { type, touchPoints, timestamp: clock });
}

async function stroke(from: Point, to: Point, steps = 6): Promise<void> {
  await finger('touchStart', from);
  for (let step = 1; step <= steps; step += 1) {
    const at = (axis: 0 | 1) => from[axis] + ((to[axis] - from[axis]) * step) / steps;
    await finger('touchMove', [at(0), at(1)]);
  }
  await finger('touchEnd');
}

test('a finger drags a window, snaps it at an edge, and resizes it by its corner', async () => {
  await launch(page, 'Notes');
  const notes = frame(page, 'notes');
  await notes.waitFor();
  const before = await rect(notes);
  await stroke([before.x + 80, before.y + 20], [before.x + 200, before.y + 90]);
  await eventually(
    () => rect(notes),
    (now) => now.x === before.x + 120 && now.y === before.y + 70,
    'it should have followed the finger',
  );
  const moved = await rect(notes);
  await stroke(
    [moved.x + moved.width + 4, moved.y + moved.height + 4],
    [moved.x + moved.width - 96, moved.y + moved.height - 56],
  );
  await eventually(
    () => rect(notes),
    (now) => moved.width - now.width === 100 && moved.height - now.height === 60,
    'it should be smaller',
  );
  const small = await rect(notes);
  await stroke([small.x + 80, small.y + 20], [2, 300]);
  await eventually(
    () => notes.getAttribute('data-snap'),
    (snap) => snap === 'left',
    'it should be snapped',
  );
});

test('a finger that stays brings up the window’s menu; two quick taps maximise', async () => {
  const notes = frame(page, 'notes');
  const { x, y } = await rect(notes);
  await finger('touchStart', [x + 100, y + 20]);
  const menu = page.getByRole('menu');
  await menu.waitFor();
  await finger('touchEnd');
  await menu.getByRole('menuitem', { name: 'Snap to the right half' }).tap();
  await menu.waitFor({ state: 'detached' });
  expect(await notes.getAttribute('data-snap')).toBe('right');
  const now = await rect(notes);
  const tap = () => [finger('touchStart', [now.x + 120, now.y + 20]), finger('touchEnd')];
  await Promise.all([...tap(), ...tap()]);
  await eventually(
    () => notes.getAttribute('data-state'),
    (state) => state === 'maximized',
    'it should be maximised',
  );
});

test('a stroke along the taskbar changes the workspace, one up from it opens the launcher', async () => {
  const bar = await rect(page.getByTestId('taskbar'));
  const y = bar.y + bar.height / 2;
  await stroke([700, y], [560, y]);
  await frame(page, 'notes').waitFor({ state: 'hidden' });
  await stroke([560, y], [700, y]);
  await frame(page, 'notes').waitFor();
  await stroke([620, y], [620, y - 120]);
  await page.getByTestId('launcher').waitFor();
  await page.keyboard.press('Escape');
});

test('in Files a tap opens, a finger that stays selects, and further taps select more', async () => {
  const call = kernelOf(server);
  for (const name of ['one', 'two']) {
    await call({ case: 'createDirectory', value: { path: `/home/files/${name}`, parents: true } });
  }
  await launch(page, 'Files');
  const files = frame(page, 'files');
  const row = (name: string) => files.locator(`[data-key="=${name}"]`);
  await row('one').waitFor();
  const box = await rect(row('one'));
  await finger('touchStart', [box.x + 60, box.y + 12]);
  await eventually(
    () => row('one').getAttribute('aria-selected'),
    (selected) => selected === 'true',
    'it should be selected while the finger stays',
  );
  await finger('touchEnd');
  await row('two').tap();
  await files.getByText('2 of 2 entries selected').waitFor();
  await page.keyboard.press('Escape');
  await row('two').tap();
  await files.getByText('This folder is empty.').waitFor();
  expect(faults).toEqual([]);
});
