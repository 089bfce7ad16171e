import type { Browser, Locator, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { violations } from './axe';
import { clear, enter, eventually, frame, launch, launchBrowser, rect } from './browser';
import { kernelOf, processOf } from './kernel';
import { Server } from './server';

const server = new Server();
let browser: Browser;
const shots = process.env.UOS_SHOTS;

beforeAll(async () => {
  await server.start();
  browser = await launchBrowser();
  await kernelOf(server)({
    case: 'createDirectory',
    value: { path: '/home/asked', mode: 0o755, parents: true },
  });
});

afterAll(async () => {
  await browser?.close();
  await server.remove();
});

/** Calls that are given up at the end of a test, whatever came of it. */
let control = new AbortController();
afterEach(async () => {
  control.abort();
  control = new AbortController();
  await eventually(waiting, (ids) => ids.length === 0, 'no call should wait');
});

const waiting = async (): Promise<number[]> =>
  (await server.http('GET', '/requests')).requests.map(({ id }: { id: number }) => id);

type Process = Awaited<ReturnType<typeof processOf>>;

/** Begins to write a file. Tells what came of it: `written`, or why not. */
function write(process: Process, path: string, data: string | Uint8Array = 'asked'): Promise<string> {
  const bytes = typeof data === 'string' ? new TextEncoder().encode(data) : data;
  return process.call({ case: 'writeFile', value: { path, data: bytes } }, control.signal).then(
    () => 'written',
    (error: Error) => error.message,
  );
}

const read = async (path: string) => {
  const { reply } = (await kernelOf(server)({ case: 'readFile', value: { path } })) as never as {
    reply: { value: { data: Uint8Array } };
  };
  return new TextDecoder().decode(reply.value.data);
};

const panel = (page: Page): Locator => page.getByRole('region', { name: 'Calls that wait for you' });
const card = (page: Page, about: string | RegExp): Locator =>
  panel(page).getByRole('listitem').filter({ hasText: about });
const say = (page: Page, about: string | RegExp, answer: string) =>
  card(page, about).getByRole('button', { name: answer }).click();

test('deny refuses the call, allow once lets it go on, and always is not asked again', async () => {
  const asker = await processOf(server, 'asker', ['ask:fs.write:/home/**']);
  // Here before the page is, so that it has to be fetched.
  const first = write(asker, '/home/asked/first', 'one\ntwo');
  await eventually(waiting, (ids) => ids.length === 1, 'the call should wait');
  const { page, context, faults } = await enter(browser, server);
  await panel(page).getByRole('heading', { name: '1 call waits for you' }).waitFor();
  const asked = card(page, '/home/asked/first');
  await asked.getByText(`process ${asker.pid}`, { exact: true }).waitFor();
  await asked.getByText('wants to create, change and delete /home/asked/first').waitFor();
  await asked.getByRole('button', { name: 'The call WriteFile' }).click();
  await asked.getByText('one\ntwo').waitFor();
  await asked.getByText('(7 bytes)').waitFor();
  await say(page, '/home/asked/first', 'Deny');
  expect(await first).toMatch(/^EACCES: .*denied/);
  await panel(page).waitFor({ state: 'detached' });

  const second = write(asker, '/home/asked/second', 'once');
  await say(page, '/home/asked/second', 'Allow once');
  expect(await second).toBe('written');
  expect(await read('/home/asked/second')).toBe('once');
  const third = write(asker, '/home/asked/second', 'always');
  await say(page, '/home/asked/second', 'Always');
  expect(await third).toBe('written');
  await panel(page).waitFor({ state: 'detached' });
  expect(await write(asker, '/home/asked/second', 'again')).toBe('written');
  expect(await panel(page).count()).toBe(0);
  expect(faults).toEqual([]);
  await context.close();
});

test('what is given up, ends, or is answered elsewhere goes away; what crosses an answer is told', async () => {
  const [one, other] = await Promise.all(
    ['one', 'other'].map((name) => processOf(server, name, ['ask:fs.write:/home/**'])),
  );
  if (!one || !other) throw new Error('two were started');
  const { page, context, faults } = await enter(browser, server);
  void write(one, '/home/asked/given-up');
  await card(page, 'given-up').waitFor();
  control.abort();
  control = new AbortController();
  await panel(page).waitFor({ state: 'detached' });

  const ended = write(one, '/home/asked/ended');
  const elsewhere = write(other, '/home/asked/elsewhere');
  await panel(page).getByRole('heading', { name: '2 calls wait for you' }).waitFor();
  await kernelOf(server)({ case: 'killProcess', value: { pid: BigInt(one.pid) } });
  expect(await ended).toMatch(/^ESRCH/);
  await panel(page).getByRole('heading', { name: '1 call waits for you' }).waitFor();
  const [id] = await waiting();
  await server.http('POST', `/requests/${id}`, { answer: 'once' });
  expect(await elsewhere).toBe('written');
  await panel(page).waitFor({ state: 'detached' });

  // The answer is under way when somebody else is faster.
  let go: () => void = () => undefined;
  const held = new Promise<void>((resolve) => {
    go = resolve;
  });
  await page.route('**/requests/*', async (route) => {
    await held;
    await route.continue();
  });
  const crossed = write(other, '/home/asked/crossed');
  await say(page, 'crossed', 'Allow once');
  await server.http('POST', `/requests/${(await waiting())[0]}`, { answer: 'deny' });
  expect(await crossed).toMatch(/^EACCES/);
  await card(page, 'crossed').getByText('It was denied elsewhere before you answered.').waitFor();
  go();
  await panel(page).getByRole('heading', { name: 'No call waits for you' }).waitFor();
  await card(page, 'crossed').getByRole('button', { name: 'Dismiss' }).click();
  await panel(page).waitFor({ state: 'detached' });
  expect(faults).toEqual([]);
  await context.close();
});

test('an answer that is refused says why in its place, and the call waits on', async () => {
  const parent = await processOf(server, 'parent', ['proc.spawn:/**', 'ask:fs.write:/home/**']);
  const child = await processOf(server, 'child', ['ask:fs.write:/home/**'], parent.pid);
  const { page, context } = await enter(browser, server);
  const written = write(child, '/home/asked/child');
  await say(page, 'child', 'Always');
  const alert = card(page, 'child').getByRole('alert');
  const why = `Process ${child.pid} can't keep fs.write:/home/asked/child, which its parent doesn't have`;
  await alert.getByText(`${why}; allow it once, or give it to the parent first.`, { exact: true }).waitFor();
  expect(await waiting()).toHaveLength(1);
  expect(await violations(page)).toEqual([]);
  if (shots) await page.screenshot({ path: `${shots}/requests refused.png` });
  // The server is gone for a moment.
  await page.route('**/requests/*', (route) => route.abort());
  await say(page, 'child', 'Deny');
  await alert.getByText('The server can’t be reached.').waitFor();
  await page.unroute('**/requests/*');
  await say(page, 'child', 'Allow once');
  expect(await written).toBe('written');
  await panel(page).waitFor({ state: 'detached' });
  await context.close();
});

test('who types goes on typing, and all is done by keys', async () => {
  await clear(server);
  const asker = await processOf(server, 'asker', ['ask:fs.write:/home/**']);
  const { page, context, faults } = await enter(browser, server);
  await launch(page, 'Notes');
  const notes = frame(page, 'notes');
  await notes.getByRole('button', { name: 'New note' }).first().click();
  await notes.locator('textarea').last().click();
  await page.keyboard.type('before ');
  const denied = write(asker, '/home/asked/typing');
  await card(page, 'typing').waitFor();
  await page.keyboard.type('and after ');
  await page.keyboard.press('Enter');
  await page.keyboard.press('Space');
  expect(await notes.locator('textarea').last().inputValue()).toBe('before and after \n ');
  expect(await waiting()).toHaveLength(1);

  const focused = () =>
    page.evaluate(() => document.activeElement?.textContent ?? document.activeElement?.tagName ?? '');
  await page.keyboard.press('Control+Alt+r');
  await eventually(
    () => panel(page).evaluate((element) => element === document.activeElement),
    (is) => is,
    'the panel should have the keyboard',
  );
  // Nothing is answered by who goes on with Enter.
  await page.keyboard.press('Enter');
  for (const name of ['', 'The call WriteFile', 'Deny']) {
    await page.keyboard.press('Tab');
    expect(await focused()).toBe(name);
  }
  await card(page, 'typing').locator('[aria-disabled=false]').first().waitFor();
  await page.keyboard.press('Enter');
  expect(await denied).toMatch(/^EACCES/);
  await panel(page).waitFor({ state: 'detached' });
  // Back where it was.
  await page.keyboard.type('on');
  expect(await notes.locator('textarea').last().inputValue()).toBe('before and after \n on');

  // Put off by Escape, and still counted.
  const later = write(asker, '/home/asked/later');
  await card(page, 'later').waitFor();
  await page.keyboard.press('Control+Alt+r');
  await eventually(
    () => panel(page).evaluate((element) => element === document.activeElement),
    (is) => is,
    'the panel should have the keyboard',
  );
  await page.keyboard.press('Escape');
  await panel(page).waitFor({ state: 'detached' });
  await page.keyboard.type('!');
  expect(await notes.locator('textarea').last().inputValue()).toBe('before and after \n on!');
  await page.getByRole('button', { name: '1 call waits for you' }).click();
  await say(page, 'later', 'Allow once');
  expect(await later).toBe('written');
  expect(faults).toEqual([]);
  await context.close();
});

test('what comes in leaves the others where they are', async () => {
  const [one, other] = await Promise.all(
    ['one', 'other'].map((name) => processOf(server, name, ['ask:fs.write:/home/**'])),
  );
  if (!one || !other) throw new Error('two were started');
  const { page, context } = await enter(browser, server, { height: 600 });
  void write(one, '/home/asked/0');
  const deny = card(page, '/home/asked/0').getByRole('button', { name: 'Deny' });
  await deny.waitFor();
  const before = await rect(deny);
  for (let at = 1; at < 6; at += 1) {
    void write(at % 2 === 0 ? one : other, `/home/asked/${at}`, new Uint8Array(9_000));
    await panel(page)
      .getByRole('heading', { name: `${at + 1} calls wait for you` })
      .waitFor();
    expect(await rect(deny)).toEqual(before);
  }
  expect((await rect(panel(page))).y).toBeGreaterThanOrEqual(0);
  await context.close();
});

test('what was under a list that closes can be pressed only after a while', async () => {
  const asker = await processOf(server, 'asker', ['ask:fs.write:/home/**']);
  const { page, context } = await enter(browser, server);
  const written = write(asker, '/home/asked/under');
  const allow = card(page, 'under').getByRole('button', { name: 'Allow once' });
  const off = () => allow.getAttribute('aria-disabled');
  await eventually(off, (is) => is === 'false', 'it may be pressed');
  // How it changes, since it is over too soon to be seen from here.
  await allow.evaluate((button) => {
    const seen: unknown[] = [];
    Object.assign(globalThis, { seen });
    new MutationObserver(() => seen.push(button.getAttribute('aria-disabled'))).observe(button, {
      attributeFilter: ['aria-disabled'],
    });
  });
  const seen = () => page.evaluate(() => (globalThis as unknown as { seen: string[] }).seen.join());
  await page.getByRole('button', { name: /^Notifications/ }).click();
  await eventually(seen, (all) => all === 'true,false', 'it is covered, and stands still again');
  await page.keyboard.press('Escape');
  await eventually(seen, (all) => all === 'true,false,true,false', 'it is uncovered, and stands still again');
  await allow.click();
  expect(await written).toBe('written');
  await context.close();
});

test('an app that asks is called by its title, and its shield tells what it may ask for and was given', async () => {
  await clear(server);
  const path = '/home/asked/by-an-app';
  await server.http('PUT', '/registry/apps/writer', {
    title: 'Writer',
    icon: 'pen-line',
    grants: ['ask:fs.write:/home/asked/**'],
    ui_spec: {
      version: 1,
      state: { said: 'a letter' },
      view: { type: 'button', label: 'Save', action: 'save' },
      actions: { save: { call: 'WriteFile', args: { path, data: '{state.said}' } } },
    },
  });
  const { page, context, faults } = await enter(browser, server);
  await launch(page, 'Writer');
  await frame(page, 'writer').getByRole('button', { name: 'Save' }).click();
  await card(page, 'by-an-app').getByText('Writer', { exact: true }).waitFor();
  await page.getByRole('button', { name: 'What Writer may do' }).click();
  const rights = page.getByRole('list', { name: 'Rights' });
  await rights.getByText('May ask to create, change and delete what is in /home/asked').waitFor();
  await page.keyboard.press('Escape');
  await say(page, 'by-an-app', 'Always');
  await panel(page).waitFor({ state: 'detached' });
  expect(
    await eventually(
      () => read(path).catch(String),
      (text) => text === 'a letter',
      'it is saved',
    ),
  ).toBe('a letter');
  await page.getByRole('button', { name: 'What Writer may do' }).click();
  await rights.getByText(`Create, change and delete ${path}`, { exact: true }).waitFor();
  expect(faults).toEqual([]);
  await context.close();
});

for (const [look, options] of [
  ['light', {}],
  ['dark', { dark: true }],
  ['light, high contrast', { contrast: true }],
  ['dark, high contrast', { dark: true, contrast: true }],
  ['touch', { width: 390, height: 780, touch: true }],
] as const) {
  test(`requests with long names and arguments have no accessibility fault, ${look}`, async () => {
    const asker = await processOf(server, 'asker', ['ask:fs.write:/home/**']);
    const long = await processOf(server, `agent ${'long '.repeat(30)}`, ['ask:fs.write:/home/**']);
    void write(long, `/home/${'deep/'.repeat(100)}end`, new Uint8Array(9_000).fill(255));
    await eventually(waiting, (ids) => ids.length === 1, 'one should wait');
    for (let at = 0; at < 4; at += 1) void write(asker, `/home/asked/${at}`);
    const { page, context, faults } = await enter(browser, server, options);
    await panel(page).getByRole('heading', { name: '5 calls wait for you' }).waitFor();
    await card(page, 'end').getByRole('button', { name: 'The call WriteFile' }).click();
    await card(page, 'end').getByText('What ends in … is longer than is shown.').waitFor();
    expect(await violations(page)).toEqual([]);
    const box = await rect(panel(page));
    expect(box.x).toBeGreaterThanOrEqual(0);
    expect(await panel(page).evaluate(({ scrollWidth, clientWidth }) => scrollWidth - clientWidth)).toBe(0);
    if (shots) await page.screenshot({ path: `${shots}/requests ${look}.png` });
    expect(faults).toEqual([]);
    await context.close();
  });
}
