import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { frame, launch, launchBrowser, visit } from './browser';
import { Server } from './server';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
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

async function violations(page: Page): Promise<string[]> {
  // The page's policy forbids inline scripts; what a debugger evaluates is not the page's.
  await page.evaluate(axe);
  return page.evaluate(async () => {
    // biome-ignore lint/suspicious/noExplicitAny: axe puts itself there
    const found = await (globalThis as any).axe.run(document, { resultTypes: ['violations'] });
    return found.violations.flatMap(
      (rule: { id: string; nodes: { html: string; failureSummary: string }[] }) =>
        rule.nodes.map(
          (node) => `${rule.id}: ${node.html.slice(0, 160)} ${node.failureSummary.slice(0, 200)}`,
        ),
    );
  });
}

for (const dark of [false, true]) {
  test(`the desktop and each app have no accessibility fault, ${dark ? 'dark' : 'light'}`, async () => {
    for (const app of (await server.http('GET', '/apps')).apps)
      await server.http('DELETE', `/apps/${app.id}`);
    const { ticket } = await server.http('POST', '/login/tickets');
    const { page, context, faults } = await visit(browser, `${server.url}/login?ticket=${ticket}`, { dark });
    expect(await violations(page)).toEqual([]);
    for (const [id, title] of [
      ['hub', 'Hub'],
      ['files', 'Files'],
      ['monitor', 'System Monitor'],
      ['notes', 'Notes'],
    ] as const) {
      await launch(page, title);
      await frame(page, id).waitFor();
      await page.waitForTimeout(800);
      expect(await violations(page), title).toEqual([]);
    }
    if (shots) await page.screenshot({ path: `${shots}/${dark ? 'dark' : 'light'}.png` });
    expect(faults).toEqual([]);
    await context.close();
  });
}

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
