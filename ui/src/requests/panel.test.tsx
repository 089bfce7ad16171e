import { act, cleanup, fireEvent, render, screen } from '@testing-library/react';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { RightAnswer } from '@/api/asked';
import * as routes from '@/api/routes';
import { Requests, RequestsButton } from './Requests';
import { STILL_MS } from './still';
import { type Asked, useRequests } from './store';

const said: [number, RightAnswer][] = [];
/** How far down each card stands. */
let down = 0;

const ask = (id: number, more: Partial<Asked> = {}): Asked => ({
  id,
  pid: 40 + id,
  name: `asker ${id}`,
  call: 'WriteFile',
  right: `fs.write:/home/${id}`,
  arguments: { path: `/home/${id}` },
  abridged: false,
  answering: null,
  failed: null,
  over: null,
  ...more,
});

const show = (...asked: Asked[]) => act(() => useRequests.setState({ asked, putOff: null }));
const pass = (ms: number) => act(() => vi.advanceTimersByTimeAsync(ms));
const button = (name: string, at = 0) => screen.getAllByRole('button', { name })[at] as HTMLElement;
const isOff = (element: HTMLElement) => element.getAttribute('aria-disabled') === 'true';

function press(element: HTMLElement): void {
  fireEvent.pointerDown(element);
  fireEvent.click(element, { detail: 1 });
}

beforeEach(() => {
  vi.useFakeTimers();
  vi.spyOn(routes, 'listRightRequests').mockReturnValue(new Promise(() => {}));
  vi.spyOn(routes, 'answerRightRequest').mockImplementation((id, answer) => {
    said.push([id, answer]);
    return new Promise(() => {});
  });
  vi.spyOn(HTMLElement.prototype, 'getBoundingClientRect').mockImplementation(
    () => new DOMRect(0, down, 9, 9),
  );
  said.length = 0;
  down = 0;
  render(
    <>
      <textarea aria-label="letter" />
      <RequestsButton />
      <Requests />
    </>,
  );
});

afterEach(() => {
  cleanup();
  useRequests.setState({ asked: [], putOff: null });
  vi.useRealTimers();
});

it('takes no answer before it has stood still for a while', async () => {
  show(ask(1));
  expect(isOff(button('Deny'))).toBe(true);
  press(button('Deny'));
  fireEvent.click(button('Deny'));
  await pass(STILL_MS - 1);
  // Pressed too early, and let go when it is possible.
  fireEvent.pointerDown(button('Deny'));
  await pass(1);
  expect(isOff(button('Deny'))).toBe(false);
  fireEvent.click(button('Deny'), { detail: 1 });
  expect(said).toEqual([]);
  press(button('Deny'));
  expect(said).toEqual([[1, 'deny']]);
});

it('takes no answer where it has just moved to, seen or not', async () => {
  show(ask(1));
  await pass(STILL_MS);
  down = 50;
  press(button('Always'));
  await pass(STILL_MS);
  expect(said).toEqual([]);
  down = 90;
  show(ask(1), ask(2));
  expect(isOff(button('Always'))).toBe(true);
  await pass(STILL_MS);
  // One that comes and moves nothing is in nobody’s way.
  show(ask(1), ask(2), ask(3));
  expect(screen.getAllByRole('button', { name: 'Always' }).map(isOff)).toEqual([true, false, false]);
  press(button('Always', 2));
  expect(said).toEqual([[1, 'always']]);
});

it('takes no answer from the click that brings the page to the front', async () => {
  show(ask(1));
  await pass(STILL_MS);
  act(() => window.dispatchEvent(new Event('focus')));
  press(button('Allow once'));
  expect(said).toEqual([]);
  await pass(STILL_MS);
  press(button('Allow once'));
  expect(said).toEqual([[1, 'once']]);
});

it('takes no answer from the second of two clicks, of which the first closed what lay over it', async () => {
  const dialog = document.body.appendChild(document.createElement('div'));
  show(ask(1));
  await pass(STILL_MS);
  dialog.remove();
  await pass(0);
  press(button('Allow once'));
  expect(said).toEqual([]);
  await pass(STILL_MS);
  press(button('Allow once'));
  expect(said).toEqual([[1, 'once']]);
});

it('takes one answer from a key that is held down', async () => {
  show(ask(1));
  await pass(STILL_MS);
  const held = { key: 'Enter', repeat: true };
  // What the browser would make a click of, if it were not prevented.
  expect(fireEvent.keyDown(button('Deny'), { key: 'Enter' })).toBe(true);
  expect(fireEvent.keyDown(button('Deny'), held)).toBe(false);
  expect(fireEvent.keyDown(button('Deny'), { ...held, key: ' ' })).toBe(false);
});

it('leaves the keyboard where somebody types, and puts it on no button', async () => {
  const letter = screen.getByLabelText('letter');
  letter.focus();
  show(ask(1));
  await pass(STILL_MS);
  expect(document.activeElement).toBe(letter);
  // The pointer doesn’t take it away either.
  expect(fireEvent.mouseDown(button('Deny'))).toBe(false);
  expect(fireEvent.mouseDown(button('Answer later'))).toBe(false);

  show(ask(1), ask(2));
  act(() => button('Deny', 1).focus());
  show(ask(2));
  expect(document.activeElement).toBe(screen.getByRole('region', { name: 'Calls that wait for you' }));
  show();
  expect(document.activeElement).toBe(letter);
});

it('is put off by Escape, counted in the taskbar, and comes back from there', () => {
  const letter = screen.getByLabelText('letter');
  letter.focus();
  show(ask(1), ask(2));
  expect(screen.getByRole('heading', { name: '2 calls wait for you' })).toBeTruthy();
  act(() => button('Deny').focus());
  fireEvent.keyDown(button('Deny'), { key: 'Escape' });
  expect(screen.queryByRole('region')).toBeNull();
  expect(document.activeElement).toBe(letter);
  const count = screen.getByRole('button', { name: '2 calls wait for you' });
  expect([count.textContent, count.getAttribute('aria-expanded')]).toEqual(['2', 'false']);
  fireEvent.click(count);
  expect(screen.getByRole('region')).toBeTruthy();
  show();
  expect(screen.queryByRole('button')).toBeNull();
});

it('says each request once', () => {
  const status = screen.getByRole('status');
  show(ask(1));
  expect(status.textContent).toBe(
    'asker 1 (process 41) asks to create, change and delete /home/1. 1 call waits for you.',
  );
  show(ask(1), ask(2));
  expect(status.textContent).toMatch(/^asker 2 .* 2 calls wait for you\.$/);
  show(ask(1));
  expect(status.textContent).toMatch(/^asker 2/);
  show();
  expect(status.textContent).toBe('');
});

it('says in its place what came of an answer', async () => {
  show(ask(1, { failed: new Error('it broke') }), ask(2, { over: 'timed_out' }));
  const alerts = () => screen.getAllByRole('alert').map((one) => one.textContent);
  expect(alerts()).toEqual(['The time to answer was over: the call was refused.', 'It broke.']);
  expect(screen.getAllByRole('button', { name: 'Deny' })).toHaveLength(1);
  expect(screen.getByRole('heading', { name: '1 call waits for you' })).toBeTruthy();
  fireEvent.click(button('Dismiss'));
  expect(alerts()).toEqual(['It broke.']);
  show(ask(1, { answering: 'once' }));
  await pass(STILL_MS);
  expect(screen.getAllByRole('button', { name: /Deny|Allow once…|Always/ }).every(isOff)).toBe(true);
});
