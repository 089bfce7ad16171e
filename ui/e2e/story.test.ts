import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { eventually, frame, launch, launchBrowser, rect, visit } from './browser';
import { kernelOf } from './kernel';
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

// biome-ignore lint/suspicious/noExplicitAny: the server's own words
const apps = async (): Promise<any[]> => (await server.http('GET', '/apps')).apps;

test('the crash story: killed with four windows open, everything is there again in another browser', async () => {
  const call = kernelOf(server);
  await call({ case: 'createDirectory', value: { path: '/home/files/letters', mode: 0o755, parents: true } });
  await call({
    case: 'writeFile',
    value: { path: '/home/files/letters/aunt.txt', data: new TextEncoder().encode('Dear aunt,') },
  });
  const first = await visit(browser, server.ticket);
  const { page } = first;
  await launch(page, 'System Monitor');
  await frame(page, 'monitor').waitFor();
  await page.keyboard.press('Control+Alt+ArrowRight');
  await launch(page, 'Hub');
  await frame(page, 'hub').waitFor();
  await page.keyboard.press('Control+Alt+m');
  await launch(page, 'Files');
  const files = frame(page, 'files');
  await files.getByRole('row', { name: /letters/ }).dblclick();
  await files
    .getByText('aunt.txt')
    .waitFor({ timeout: 5_000 })
    .catch(async (error) => {
      if (shots) await page.screenshot({ path: `${shots}/files.png` });
      throw error;
    });
  await launch(page, 'Notes');
  const notes = frame(page, 'notes');
  await notes.waitFor();
  await notes.getByRole('button', { name: 'New note' }).first().click();
  await notes.locator('textarea').last().click();
  await page.keyboard.type('Half a tho');
  await eventually(
    async () => JSON.stringify(await apps()),
    (text) => text.includes('Half a tho') && text.includes('letters') && text.includes('minimized'),
    'everything should be saved',
  );
  const before = await apps();
  const places = Object.fromEntries(
    await Promise.all(['monitor', 'files', 'notes'].map(async (app) => [app, await rect(frame(page, app))])),
  );
  if (shots) await page.screenshot({ path: `${shots}/before.png` });
  await first.context.close();

  await server.kill('SIGKILL');
  await server.start();
  const { page: again, context, faults } = await visit(browser, server.ticket);
  await frame(again, 'notes').waitFor();
  const moved = await again.evaluate(
    () =>
      new Promise<number>((resolve) => {
        let changes = 0;
        const observer = new MutationObserver((list) => {
          changes += list.filter((one) => (one.target as Element).matches('[data-window-id]')).length;
        });
        observer.observe(document.body, {
          subtree: true,
          attributes: true,
          attributeFilter: ['style', 'data-state'],
        });
        setTimeout(() => resolve(changes), 700);
      }),
  );
  expect(moved, 'no window moves after it has been shown').toBe(0);
  const strip = (list: Record<string, unknown>[]) => list.map(({ pid: _, ...rest }) => rest);
  expect(strip(await apps())).toEqual(strip(before));
  for (const [app, place] of Object.entries(places)) expect(await rect(frame(again, app))).toEqual(place);
  expect(await frame(again, 'monitor').getAttribute('data-snap')).toBe('right');
  expect(await frame(again, 'hub').getAttribute('data-state')).toBe('minimized');
  expect(await frame(again, 'notes').locator('textarea').last().inputValue()).toContain('Half a tho');
  await frame(again, 'files').getByText('aunt.txt').waitFor();
  if (shots) await again.screenshot({ path: `${shots}/after.png` });

  // Saved as monday, all closed, monday restored.
  await again.getByRole('button', { name: 'Sessions' }).click();
  await again.getByLabel('Save this desktop as').fill('monday');
  await again.keyboard.press('Enter');
  await eventually(
    async () => (await server.http('GET', '/sessions')).sessions.map((one: { name: string }) => one.name),
    (names) => names.includes('monday'),
    'monday should be saved',
  );
  for (const app of await apps()) await server.http('DELETE', `/apps/${app.id}`);
  await eventually(
    () => again.locator('[data-window-id]').count(),
    (count) => count === 0,
    'all windows should be gone',
  );
  await again.getByRole('button', { name: 'Restore monday' }).click();
  await frame(again, 'notes').waitFor();
  expect((await apps()).map((app) => app.id)).toEqual(before.map((app) => app.id));
  for (const [app, place] of Object.entries(places)) expect(await rect(frame(again, app))).toEqual(place);
  expect(faults).toEqual([]);
  await context.close();
}, 120_000);

test('what happens elsewhere shows without a reload, and Kill kills', async () => {
  const call = kernelOf(server);
  const { ticket } = await server.http('POST', '/login/tickets');
  const { page, context } = await visit(browser, `${server.url}/login?ticket=${ticket}`);
  const files = frame(page, 'files');
  await files.getByText('aunt.txt').waitFor();
  const data = new TextEncoder().encode('Dear uncle,');
  await call({ case: 'writeFile', value: { path: '/home/files/letters/uncle.txt', data } });
  await files.getByText('uncle.txt').waitFor({ timeout: 5_000 });

  const spawned = await call({
    case: 'spawnProcess',
    value: { program: '/usr/bin/sleep', args: ['1000'], level: 3 },
  });
  const pid = spawned?.reply.case === 'spawnProcess' ? Number(spawned.reply.value.pid) : 0;
  const monitor = frame(page, 'monitor');
  const row = monitor.getByRole('row').filter({ hasText: 'sleep' });
  await row.first().waitFor({ timeout: 5_000 });
  await row.first().click();
  await monitor
    .getByRole('button', { name: /kill|end/i })
    .first()
    .click();
  const sure = page.getByRole('dialog', { name: /^Kill sleep/ });
  await sure.getByRole('button', { name: /^Kill/ }).click();
  const ended = await call({ case: 'waitProcess', value: { pid: BigInt(pid), timeoutUs: 10_000_000n } });
  expect(ended?.reply.case === 'waitProcess' && ended.reply.value.exited).toBe(true);
  await context.close();
});
