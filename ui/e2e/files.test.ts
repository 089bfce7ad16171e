import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser, Locator, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { eventually, frame, launch, launchBrowser, visit } from './browser';
import { kernelOf } from './kernel';
import { Server } from './server';

const server = new Server();
let browser: Browser;
let page: Page;
let files: Locator;
let faults: string[];

beforeAll(async () => {
  await server.start();
  browser = await launchBrowser();
  ({ page, faults } = await visit(browser, server.ticket));
  await launch(page, 'Files');
  files = frame(page, 'files');
  await files.waitFor();
});

afterAll(async () => {
  await browser?.close();
  await server.remove();
});

const row = (name: string) => files.locator(`[data-key="=${name}"]`);

/** What is in a folder, as a call from outside sees it. */
async function names(path: string): Promise<string[]> {
  const reply = await kernelOf(server)({ case: 'listDirectory', value: { path } });
  const entries = reply?.reply.case === 'listDirectory' ? reply.reply.value.entries : [];
  return entries.map((entry) => entry.name).sort();
}

async function content(path: string): Promise<Buffer> {
  const answer = await fetch(`${server.url}/files${path}`, {
    headers: { authorization: `Bearer ${server.token}` },
  });
  expect(answer.status).toBe(200);
  return Buffer.from(await answer.arrayBuffer());
}

test('a folder and a file are made, renamed, thrown away and brought back, each known to the system', async () => {
  await files.getByRole('button', { name: 'New folder' }).first().click();
  await page.keyboard.type('letters');
  await page.keyboard.press('Enter');
  await row('letters').waitFor();
  await files.getByRole('button', { name: 'New file' }).click();
  await page.keyboard.type('draft.txt');
  await page.keyboard.press('Enter');
  await row('draft.txt').waitFor();
  expect(await names('/home/files')).toEqual(['draft.txt', 'letters']);

  // The keyboard is back in the list, on what was just made; the ending is not selected for renaming.
  await page.keyboard.press('F2');
  await page.keyboard.type('final');
  await page.keyboard.press('Enter');
  await row('final.txt').waitFor();
  await row('draft.txt').waitFor({ state: 'detached' });
  expect(await names('/home/files')).toEqual(['final.txt', 'letters']);

  // A name that is taken, and one that can’t be: said where it is typed, and nothing happens.
  await page.keyboard.press('F2');
  await page.keyboard.press('Control+a');
  await page.keyboard.type('letters');
  await page.keyboard.press('Enter');
  await files.getByRole('alert').waitFor();
  await page.keyboard.type('/x');
  await page.keyboard.press('Enter');
  await files.getByText('A name has no “/”.').waitFor();
  await page.keyboard.press('Escape');
  expect(await names('/home/files')).toEqual(['final.txt', 'letters']);

  await row('final.txt').click();
  await row('letters').click({ modifiers: ['Control'] });
  await page.keyboard.press('Delete');
  await row('final.txt').waitFor({ state: 'detached' });
  expect(await names('/home/files/.trash')).toEqual(['final.txt', 'letters']);
  await page.getByRole('button', { name: 'Undo' }).click();
  await row('final.txt').waitFor();
  await row('letters').waitFor();
  expect(await names('/home/files/.trash')).toEqual([]);
});

test('what is deleted from the bin is gone, after a question', async () => {
  await row('final.txt').click();
  await files.getByRole('button', { name: 'Move to the bin' }).click();
  await files.getByRole('button', { name: 'Bin', exact: true }).click();
  await row('final.txt').waitFor();
  await files.getByRole('button', { name: 'Empty the bin' }).click();
  await page.getByRole('button', { name: 'Cancel' }).click();
  expect(await names('/home/files/.trash')).toEqual(['final.txt']);
  await files.getByRole('button', { name: 'Empty the bin' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Delete', exact: true }).click();
  await files.getByText('The bin is empty.').waitFor();
  expect(await names('/home/files/.trash')).toEqual([]);
  await files
    .getByRole('button', { name: /^Files/ })
    .first()
    .click();
});

test('a file goes up by the button and comes down with the same bytes; none is replaced', async () => {
  const bytes = randomBytes(70_001);
  const local = join(server.dir, 'photo äö.bin');
  writeFileSync(local, bytes);
  await files.getByLabel('Files to upload').setInputFiles(local);
  await row('photo äö.bin').waitFor();
  expect((await content('/home/files/photo%20%C3%A4%C3%B6.bin')).equals(bytes)).toBe(true);
  await files.getByLabel('Files to upload').setInputFiles(local);
  await row('photo äö 2.bin').waitFor();

  await row('photo äö.bin').click();
  const waiting = page.waitForEvent('download');
  await files.getByRole('button', { name: 'Download' }).click();
  const download = await waiting;
  expect(download.suggestedFilename()).toBe('photo äö.bin');
  expect(readFileSync(await download.path()).equals(bytes)).toBe(true);
});

test('a file that is dropped goes up', async () => {
  const data = await page.evaluateHandle(() => {
    const transfer = new DataTransfer();
    transfer.items.add(new File(['dropped ✓'], 'dropped.txt', { type: 'text/plain' }));
    return transfer;
  });
  const folder = files.getByRole('region', { name: /^Folder/ });
  await folder.dispatchEvent('dragover', { dataTransfer: data });
  await files.getByText('Drop to upload to /home/files').waitFor();
  await folder.dispatchEvent('drop', { dataTransfer: data });
  await row('dropped.txt').waitFor();
  expect((await content('/home/files/dropped.txt')).toString()).toBe('dropped ✓');
});

test('20 MB go up with their progress shown, and whole', async () => {
  const bytes = randomBytes(20_000_000);
  const local = join(server.dir, 'large.bin');
  writeFileSync(local, bytes);
  // At a pace at which there is something to see.
  const slow = await page.context().newCDPSession(page);
  const pace = { offline: false, latency: 0, downloadThroughput: -1, uploadThroughput: 12_000_000 };
  await slow.send('Network.emulateNetworkConditions', pace);
  await page.evaluate(() => {
    const seen = new Set<number>();
    Object.assign(globalThis, { seen });
    new MutationObserver(() => {
      const bar = document.querySelector('[role="progressbar"]');
      if (bar) seen.add(Number(bar.getAttribute('aria-valuenow')));
    }).observe(document.body, { subtree: true, childList: true, attributes: true });
  });
  await files.getByLabel('Files to upload').setInputFiles(local);
  await files.getByRole('progressbar').waitFor();
  await row('large.bin').waitFor();
  await files.getByRole('progressbar').waitFor({ state: 'detached' });
  const seen = await page.evaluate(() => [...(globalThis as unknown as { seen: Set<number> }).seen]);
  expect(seen.filter((percent) => percent > 0 && percent < 100).length, 'steps between').toBeGreaterThan(2);
  expect(seen, 'it only grows').toEqual([...seen].sort((one, other) => one - other));
  expect((await content('/home/files/large.bin')).equals(bytes)).toBe(true);

  await slow.send('Network.emulateNetworkConditions', { ...pace, uploadThroughput: 500_000 });
  await files.getByLabel('Files to upload').setInputFiles(local);
  await files.getByRole('button', { name: 'Cancel the upload' }).click();
  await files.getByRole('progressbar').waitFor({ state: 'detached' });
  await slow.send('Network.emulateNetworkConditions', { ...pace, uploadThroughput: -1 });
  expect(await names('/home/files')).not.toContain('large 2.bin');
});

test('an upload that the app has no right for says which', async () => {
  await files.getByRole('button', { name: 'Everything' }).click();
  await row('home').waitFor();
  const local = join(server.dir, 'denied.txt');
  writeFileSync(local, 'no');
  await files.getByLabel('Files to upload').setInputFiles(local);
  await page.getByText('“denied.txt” could not be uploaded.').waitFor();
  await page.getByText('Files may not write `/denied.txt`').waitFor();
  expect(await names('/')).not.toContain('denied.txt');
  expect(faults).toEqual([]);
});

test('the launcher finds a file by its name, and Files shows it', async () => {
  await launchFound(page, 'dropped');
  const last = files.last();
  await eventually(
    () => last.locator('[data-key="=dropped.txt"]').getAttribute('aria-selected'),
    (selected) => selected === 'true',
    'it should be selected',
  );
});

async function launchFound(on: Page, words: string): Promise<void> {
  await on.keyboard.press('Control+k');
  await on.keyboard.type(words);
  await on.getByRole('option', { name: words }).waitFor();
  await on.keyboard.press('Enter');
  await on.getByTestId('launcher').waitFor({ state: 'hidden' });
}
