import { statSync } from 'node:fs';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { enter, frame, launch, launchBrowser } from '../e2e/browser';
import { kernelOf } from '../e2e/kernel';
import { Server } from '../e2e/server';

/** The picture at the top of the README: `UOS_SHOTS=../docs npm run picture`. */
const shots = process.env.UOS_SHOTS ?? '../docs';
const MOST_BYTES = 400_000;

const server = new Server();
let browser: Browser;

beforeAll(async () => {
  await server.start();
  browser = await launchBrowser();
});

afterAll(async () => {
  await browser?.close();
  await server.remove();
});

const FILES = {
  'letters/to the harbour master.txt': 'Dear Sir,',
  'letters/aunt Ada.txt': 'Dear aunt,',
  'plans/crossing.md': '# The crossing',
  'plans/provisions.csv': 'item,count\nrope,12\nlantern,4\n',
  'chart north.svg': '<svg/>'.repeat(3_000),
  'log book.txt': 'Day 1. Calm.\n'.repeat(220),
  'tide table 2026.csv': 'hour,height\n'.repeat(640),
};

const NOTE = `Wind from the south-west, four, rising. We cast off at first light.

To do before the strait:
  – check the lashings on deck
  – second lamp: wick and oil
  – ask for the depths at the bar, they are two years old

The log is kept by the ship itself.`;

test('four windows, one snapped, real files and real programs', async () => {
  const call = kernelOf(server);
  for (const [name, text] of Object.entries(FILES)) {
    const path = `/home/files/${name}`;
    const folder = path.slice(0, path.lastIndexOf('/'));
    await call({ case: 'createDirectory', value: { path: folder, mode: 0o755, parents: true } }).catch(
      () => undefined,
    );
    await call({ case: 'writeFile', value: { path, data: new TextEncoder().encode(text) } });
  }
  const programs = [
    ['/usr/bin/sha256sum', '/dev/zero'],
    ['/usr/bin/sleep', '3600'],
    ['/usr/bin/tail', '-f', '/dev/null'],
  ];
  for (const [program = '', ...args] of programs) {
    await call({ case: 'spawnProcess', value: { program, args, level: 3 } });
  }
  const { page, context, faults } = await enter(browser, server, { dark: true, width: 1440, height: 900 });
  for (const [app, title] of [
    ['monitor', 'System Monitor'],
    ['hub', 'Hub'],
    ['files', 'Files'],
    ['notes', 'Notes'],
  ] as const) {
    await launch(page, title);
    await frame(page, app).waitFor();
  }
  const { apps } = await server.http('GET', '/apps');
  const places: Record<string, { x: number; y: number; width: number; height: number }> = {
    files: { x: 24, y: 24, width: 620, height: 336 },
    hub: { x: 24, y: 384, width: 620, height: 444 },
    notes: { x: 132, y: 312, width: 560, height: 448 },
  };
  for (const app of apps) {
    const place = places[app.manifest_id];
    const { x, y, width, height } = place ?? { x: 720, y: 0, width: 720, height: 852 };
    await server.http('POST', `/apps/${app.id}/window`, {
      window_id: app.window_id,
      position: { x, y },
      size: { width, height },
      ...(place ? { state: 'normal' } : { state: 'snapped', snap: 'right' }),
    });
    if (app.manifest_id === 'notes') {
      const edited_us = Date.now() * 1000;
      const notes = [
        { id: 'a', title: 'Before the strait', text: NOTE, edited_us },
        { id: 'b', title: 'Provisions', text: '', edited_us: edited_us - 4e9 },
        { id: 'c', title: 'Stars for the second watch', text: '', edited_us: edited_us - 9e10 },
      ];
      await server.http('PUT', `/apps/${app.id}/state`, { notes, open: 'a' });
    }
    if (app.manifest_id === 'monitor') {
      await server.http('PUT', `/apps/${app.id}/state`, { sort: 'cpu', descending: true, ended: false });
    }
  }
  const monitor = frame(page, 'monitor');
  await monitor.getByRole('row').filter({ hasText: 'sha256sum' }).waitFor();
  // Until the graphs have something to say.
  await page.waitForFunction(
    () =>
      (document.querySelector('[data-app="monitor"] polyline')?.getAttribute('points')?.split(' ').length ??
        0) >= 24,
    undefined,
    { timeout: 90_000 },
  );
  await page.mouse.move(708, 720);
  const path = `${shots}/desktop.png`;
  await page.screenshot({ path });
  expect(statSync(path).size).toBeLessThan(MOST_BYTES);
  expect(faults).toEqual([]);
  await context.close();
});
