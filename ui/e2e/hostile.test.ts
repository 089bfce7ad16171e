import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { clear, enter, eventually, frame, launch, launchBrowser } from './browser';
import { kernelOf } from './kernel';
import { Server } from './server';

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

/** Each would set the flag if anything took it for more than text. */
const PAYLOADS = [
  '<script>ran=1</script>',
  '<script src=data:text/javascript,ran=1></script>',
  '</script><script>ran=1</script>',
  '"><script>ran=1</script>',
  "'><script>ran=1</script>",
  '<img src=x onerror=ran=1>',
  '<img src="x" onerror="ran=1">',
  '<svg onload=ran=1>',
  '<svg><script>ran=1</script></svg>',
  '<svg><animate onbegin=ran=1 attributeName=x dur=1s>',
  '<math><mi xlink:href="javascript:ran=1">x</mi></math>',
  '<iframe srcdoc="<script>parent.ran=1</script>">',
  '<iframe src=javascript:parent.ran=1>',
  '<object data=javascript:ran=1>',
  '<embed src=javascript:ran=1>',
  '<body onload=ran=1>',
  '<details open ontoggle=ran=1>',
  '<input autofocus onfocus=ran=1>',
  '<select autofocus onfocus=ran=1>',
  '<textarea autofocus onfocus=ran=1>',
  '<video><source onerror=ran=1>',
  '<audio src=x onerror=ran=1>',
  '<marquee onstart=ran=1>',
  '<a href=javascript:ran=1 autofocus onfocus=ran=1>x</a>',
  'javascript:ran=1',
  'data:text/html,<script>parent.ran=1</script>',
  '" onmouseover="ran=1" x="',
  "' onfocus='ran=1' autofocus x='",
  '" autofocus onfocus=ran=1 x="',
  '`-ran=1-`',
  `$${'{ran=1}'}`,
  '{{constructor.constructor("ran=1")()}}',
  '{constructor.constructor("ran=1")()}',
  '{state.constructor.constructor("ran=1")()}',
  '{__proto__.ran}',
  '<style>*{background:url(javascript:ran=1)}</style>',
  '<link rel=stylesheet href=javascript:ran=1>',
  '<meta http-equiv=refresh content="0;url=javascript:ran=1">',
  '<template><script>ran=1</script></template>',
  '\u202e<img src=x onerror=ran=1>',
] as const;

const ran = (page: Page) => page.evaluate(() => (globalThis as { ran?: unknown }).ran);

test(`${PAYLOADS.length} pieces of script as names, titles and texts are shown as text and run nowhere`, async () => {
  expect(PAYLOADS.length).toBeGreaterThanOrEqual(40);
  const call = kernelOf(server);
  // As names of files; a slash can’t be in one.
  const names = PAYLOADS.map((payload) => payload.replaceAll('/', '∕'));
  await Promise.all(
    names.map((name) =>
      call({ case: 'writeFile', value: { path: `/home/files/${name}`, data: new Uint8Array(1) } }),
    ),
  );
  // As names of sessions, of processes, and as everything an app described as data can say.
  for (const payload of PAYLOADS) await server.http('POST', '/sessions', { name: payload.slice(0, 100) });
  const text = (payload: string) => ({ type: 'text', text: payload });
  await server.http('PUT', '/registry/apps/hostile', {
    title: PAYLOADS[5],
    description: PAYLOADS[0],
    category: PAYLOADS[7],
    icon: PAYLOADS[6],
    ui_spec: {
      version: 1,
      state: { list: PAYLOADS, bound: PAYLOADS[5] },
      view: {
        type: 'column',
        children: [
          ...PAYLOADS.map(text),
          ...PAYLOADS.slice(0, 10).map((payload) => ({ type: 'button', label: payload, action: 'set' })),
          ...PAYLOADS.slice(0, 10).map((payload) => ({
            type: 'input',
            bind: 'state.bound',
            label: payload,
            placeholder: payload,
          })),
          ...(['title', 'muted', 'code'] as const).map((style) => ({ ...text(PAYLOADS[5]), style })),
          { type: 'list', items: 'state.list', item: text('{item}') },
        ],
      },
      actions: { set: { set: 'state.bound', to: PAYLOADS[9] } },
    },
  });

  const { page, context, faults } = await enter(browser, server);
  await page.evaluate(() => localStorage.setItem('seen', '1'));
  await launch(page, 'Files');
  const files = frame(page, 'files');
  await eventually(
    () => files.locator('tbody tr').count(),
    (count) => count === names.length,
    'all files should be listed',
  );
  const listed = await files.locator('tbody td:first-child span[title]').allTextContents();
  expect(listed.toSorted()).toEqual(names.toSorted());
  await files.locator('tbody tr').first().click();
  await page.keyboard.press('F2');
  await page.keyboard.press('Escape');
  await files.locator('tbody tr').nth(5).hover();

  await launch(page, 'Hub');
  await frame(page, 'hub').getByText(PAYLOADS[5], { exact: true }).first().waitFor();
  const app = await server.http('POST', '/registry/apps/hostile/launch', {});
  const hostile = frame(page, 'hostile');
  await hostile.waitFor();
  await hostile.getByText(PAYLOADS[0], { exact: true }).first().waitFor();
  const shown = (await hostile.locator('p').allTextContents()).slice(0, PAYLOADS.length);
  // What stands in braces names a part of the state, and none of these is one.
  for (const [at, payload] of PAYLOADS.entries()) {
    if (!payload.includes('{')) expect(shown[at]).toBe(payload);
  }
  await hostile.getByRole('button', { name: PAYLOADS[0] }).first().click();
  await server.http('PUT', `/apps/${app.id}/state`, { list: PAYLOADS, bound: PAYLOADS[7] });

  await launch(page, 'System Monitor');
  await frame(page, 'monitor').locator('[data-pid]').first().waitFor();
  await page.getByRole('button', { name: 'Sessions' }).click();
  const sessions = page.getByRole('dialog', { name: 'Sessions' });
  await sessions.getByText(PAYLOADS[1], { exact: true }).waitFor();
  await sessions
    .getByRole('button', { name: `Delete ${PAYLOADS[5]}` })
    .first()
    .click();
  await page.getByText(`“${PAYLOADS[5]}” was deleted.`).waitFor();
  await page.keyboard.press('Escape');
  await page.keyboard.press('Control+k');
  await page.keyboard.type('img');
  await page.getByRole('option').first().waitFor();
  await page.keyboard.press('Escape');

  expect(await ran(page)).toBeUndefined();
  expect(await page.locator('main img, main iframe, main object, main embed, main script').count()).toBe(0);
  // The flag would be seen if it were set: the check itself can fail.
  await page.evaluate(() => Object.assign(globalThis, { ran: 1 }));
  expect(await ran(page)).toBe(1);
  expect(faults).toEqual([]);
  await context.close();
});

test('the page itself forbids what would be needed to run any', async () => {
  const policy = (await fetch(server.url)).headers.get('content-security-policy') ?? '';
  expect(policy).toContain("default-src 'self'");
  expect(policy).not.toMatch(/script-src[^;]*unsafe|unsafe-eval/);
  const { page, context } = await enter(browser, server);
  await page.evaluate(() => {
    const script = document.createElement('script');
    script.textContent = 'globalThis.ran = 1';
    document.body.append(script);
    const image = document.createElement('div');
    image.innerHTML = '<img src=x onerror="globalThis.ran = 1">';
    document.body.append(image);
  });
  await page.evaluate(() => new Promise((resolve) => setTimeout(resolve, 100)));
  expect(await ran(page)).toBeUndefined();
  await context.close();
});

test('an invalid part of an app says what is wrong in its own place; the rest works', async () => {
  await clear(server);
  await server.http('PUT', '/registry/apps/half', {
    title: 'Half',
    ui_spec: {
      version: 1,
      state: { said: 'hello' },
      view: {
        type: 'column',
        children: [
          { type: 'text', text: 'before' },
          { type: 'hologram', text: 'from the future' },
          { type: 'button', label: 'No such action', action: 'vanish' },
          { type: 'input', bind: 'state.said', label: 7 },
          { type: 'input', bind: 'state.said', label: 'Said' },
          { type: 'text', text: 'it says {state.said}' },
        ],
      },
      actions: {},
    },
  });
  const { page, context, faults } = await enter(browser, server);
  await launch(page, 'Half');
  const half = frame(page, 'half');
  await half.getByText('before').waitFor();
  const alerts = half.getByRole('alert');
  await eventually(
    () => alerts.allInnerTexts(),
    (texts) => texts.some((text) => text.includes('hologram')),
    'the part should be named',
  );
  expect((await alerts.allInnerTexts()).every((text) => text.includes('children'))).toBe(true);
  await half.getByLabel('Said').fill('still working');
  await half.getByText('it says still working').waitFor();
  await half
    .getByRole('button', { name: 'No such action' })
    .click()
    .catch(() => undefined);
  expect(await page.getByTestId('taskbar').isVisible()).toBe(true);
  expect(faults).toEqual([]);
  await context.close();
});
