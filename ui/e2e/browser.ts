import { type Browser, type BrowserContext, chromium, type Locator, type Page } from 'playwright-core';
import type { Server } from './server';

export function launchBrowser(): Promise<Browser> {
  return chromium.launch({
    executablePath: process.env.UOS_CHROMIUM ?? '/usr/bin/chromium',
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
}

export interface Visit {
  width?: number;
  height?: number;
  dark?: boolean;
  /** High contrast, as the system would ask for it. */
  contrast?: boolean;
  /** Fingers instead of a mouse. */
  touch?: boolean;
  /** Run before any script of the page. */
  first?: string;
  /** Done before the page is fetched. */
  before?: (page: Page) => Promise<unknown>;
}

/** A browser profile that was never here before, logged in by a ticket. Faults of the page fail the test that asks. */
export async function visit(
  browser: Browser,
  ticket: string,
  options: Visit = {},
): Promise<{ context: BrowserContext; page: Page; faults: string[] }> {
  const context = await browser.newContext({
    viewport: { width: options.width ?? 1280, height: options.height ?? 800 },
    colorScheme: options.dark ? 'dark' : 'light',
    contrast: options.contrast ? 'more' : 'no-preference',
    reducedMotion: 'reduce',
    hasTouch: options.touch ?? false,
    isMobile: options.touch ?? false,
  });
  if (options.first) await context.addInitScript(options.first);
  const page = await context.newPage();
  const faults: string[] = [];
  page.on('pageerror', (error) => faults.push(String(error.stack ?? error)));
  await options.before?.(page);
  await page.goto(ticket);
  await page.getByTestId('taskbar').waitFor();
  return { context, page, faults };
}

/** The same with a ticket of its own, for every visit but the first. */
export async function enter(browser: Browser, server: Server, options: Visit = {}) {
  const { ticket } = await server.http('POST', '/login/tickets');
  return visit(browser, `${server.url}/login?ticket=${ticket}`, options);
}

/** Closes whatever is open. */
export async function clear(server: Server): Promise<void> {
  for (const app of (await server.http('GET', '/apps')).apps) {
    // A child goes with its parent.
    await server.http('DELETE', `/apps/${app.id}`).catch(() => undefined);
  }
}

export const frame = (page: Page, app: string): Locator => page.locator(`[data-app="${app}"]`);

export async function launch(page: Page, title: string): Promise<void> {
  await page.keyboard.press('Control+k');
  await page.getByTestId('launcher').waitFor();
  await page.keyboard.type(title);
  await page.keyboard.press('Enter');
}

export async function rect(
  locator: Locator,
): Promise<{ x: number; y: number; width: number; height: number }> {
  const box = await locator.boundingBox();
  if (!box) throw new Error('it is not on the screen');
  return {
    x: Math.round(box.x),
    y: Math.round(box.y),
    width: Math.round(box.width),
    height: Math.round(box.height),
  };
}

/** Drags by the title bar; the pointer is let go unless the caller wants to look first. */
export async function drag(page: Page, window: Locator, to: { x: number; y: number }, release = true) {
  const box = await rect(window);
  await page.mouse.move(box.x + 60, box.y + 18);
  await page.mouse.down();
  await page.mouse.move((box.x + 60 + to.x) / 2, (box.y + 18 + to.y) / 2, { steps: 4 });
  await page.mouse.move(to.x, to.y, { steps: 6 });
  if (release) await page.mouse.up();
}

/** Waits until something holds; tells what it was when it never did. */
export async function eventually<T>(
  read: () => Promise<T>,
  good: (value: T) => boolean,
  what: string,
): Promise<T> {
  let value = await read();
  for (let tries = 0; tries < 100 && !good(value); tries += 1) {
    await new Promise((resolve) => setTimeout(resolve, 100));
    value = await read();
  }
  if (!good(value)) throw new Error(`${what}: ${JSON.stringify(value)}`);
  return value;
}
