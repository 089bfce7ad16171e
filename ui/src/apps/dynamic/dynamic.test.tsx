import { cleanup, render, screen, waitFor } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import axe from 'axe-core';
import fc from 'fast-check';
import { useState } from 'react';
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { RunningApp } from '@/api/app';
import type { Json } from '@/api/json';
import { CallError, type Caller } from '@/api/kernel';
import { runAction } from './actions';
import Dynamic from './index';
import { fill, fillValue, lookUp, parsePath, withValue } from './path';
import { LIMITS, type Part, resolveView } from './spec';

afterEach(cleanup);

const hostile = ['__proto__', 'constructor', 'prototype', 'toString', 'hasOwnProperty', 'valueOf'];

describe('paths and templates', () => {
  it('reaches what is there and nothing that is inherited', () => {
    const scope = { state: { name: 'Ada', list: [{ x: 1 }], deep: { a: { b: true } } }, index: 3 };
    expect(lookUp('state.name', scope)).toBe('Ada');
    expect(lookUp('state.list.0.x', scope)).toBe(1);
    expect(lookUp('state.list.length', scope)).toBe(1);
    expect(lookUp('state.deep.a.b', scope)).toBe(true);
    expect(lookUp('index', scope)).toBe(3);
    for (const name of hostile) {
      expect(lookUp(`state.${name}`, scope)).toBeUndefined();
      expect(lookUp(`state.list.${name}`, scope)).toBeUndefined();
      expect(lookUp(`state.name.${name}`, scope)).toBeUndefined();
    }
    expect(parsePath('window.document')).toBeNull();
    expect(parsePath(`state${'.a'.repeat(50)}`)).toBeNull();
    expect(parsePath('state.a()')).toBeNull();
  });

  it('fills in, and leaves alone what is no path', () => {
    const scope = { state: { a: 'x', n: 2, o: { k: 1 } } };
    expect(fill('{state.a}-{state.n} {state.o} {state.none}!', scope)).toBe('x-2 {"k":1} !');
    expect(fill('{alert(1)} {state} {window.x} {}', { state: 'S' })).toBe('{alert(1)} S {window.x} {}');
    expect(fillValue(['{state.o}', '{state.n}', 'n={state.n}'], scope)).toEqual([{ k: 1 }, 2, 'n=2']);
  });

  it('never changes any prototype, whatever the path and value', () => {
    const before = Object.getOwnPropertyNames(Object.prototype).length;
    fc.assert(
      fc.property(
        fc.array(fc.oneof(fc.constantFrom(...hostile), fc.string({ maxLength: 6 })), { maxLength: 5 }),
        fc.jsonValue(),
        (parts, value) => {
          const state = { a: { b: [1] } };
          try {
            withValue(state, ['state', ...parts].join('.'), () => value as Json);
            fillValue(JSON.parse(`{"__proto__":{"polluted":1}}`) as Json, { state });
          } catch {
            // Refused is fine.
          }
          expect(state).toEqual({ a: { b: [1] } });
        },
      ),
    );
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
    expect(Object.getOwnPropertyNames(Object.prototype)).toHaveLength(before);
  });

  it('says which place can’t be changed', () => {
    expect(withValue({ a: 1 }, 'state.b.c', () => 2)).toEqual({ a: 1, b: { c: 2 } });
    expect(withValue({ l: [1, 2] }, 'state.l.1', () => 9)).toEqual({ l: [1, 9] });
    expect(() => withValue({ a: 1 }, 'state.a.b', () => 2)).toThrow('can’t be put into a number');
    expect(() => withValue({}, 'item.a', () => 2)).toThrow('no place in the state');
    expect(() => withValue({ l: [] }, 'state.l.5', () => 2)).toThrow('no place `5`');
  });
});

function countParts(part: Part): number {
  const inner = 'parts' in part ? part.parts : 'fields' in part ? part.fields : [];
  return 1 + inner.reduce((sum, each) => sum + countParts(each), 0);
}

function errors(part: Part): string[] {
  if (part.is === 'error') return [`${part.at}: ${part.message}`];
  const inner = 'parts' in part ? part.parts : 'fields' in part ? part.fields : [];
  return inner.flatMap(errors);
}

describe('resolveView', () => {
  it('shows a mistake in its place and everything else', () => {
    const view = {
      type: 'column',
      children: [
        { type: 'text', text: 'Hello {state.who}' },
        { type: 'script', src: 'x' },
        { type: 'text', text: 'x', onclick: 'alert(1)' },
        { type: 'button', label: 'Go', action: 'go', href: 'javascript:alert(1)' },
        { type: 'list', items: 'state.who', item: { type: 'text', text: '' } },
        { type: 'input', bind: '__proto__.x', label: 'L' },
        'text',
        null,
        { type: '__proto__' },
        { type: 'text', text: 'last' },
      ],
    };
    const made = resolveView(view, { who: 'world' });
    if (made.is !== 'column') throw new Error(made.is);
    expect(made.parts[0]).toMatchObject({ is: 'text', text: 'Hello world' });
    expect(made.parts.at(-1)).toMatchObject({ is: 'text', text: 'last' });
    expect(made.parts.map((part) => part.is)).toEqual(['text', ...Array(8).fill('error'), 'text']);
    expect(errors(made)[0]).toBe(
      'view.children[1]: there is no part of type `script`; there are text, input, button, list, form, row, column',
    );
    expect(errors(made)[1]).toContain('onclick');
  });

  it('ends on specs that are huge, deep or go in circles', () => {
    const wide = { type: 'column', children: Array(100_000).fill({ type: 'text', text: 'x' }) };
    expect(countParts(resolveView(wide, {}))).toBeLessThanOrEqual(LIMITS.parts + 2);

    const circle: { type: string; children: unknown[] } = { type: 'column', children: [] };
    circle.children.push(circle, circle);
    const round = resolveView(circle, {});
    expect(countParts(round)).toBeLessThanOrEqual(LIMITS.parts + LIMITS.depth + 2);
    expect(errors(round).length).toBeGreaterThan(0);

    // A list of lists of lists of everything.
    let item: unknown = { type: 'text', text: '{item}' };
    for (let level = 0; level < 10; level++) item = { type: 'list', items: 'state.all', item };
    const many = resolveView(item, { all: Array(1000).fill('x'.repeat(1000)) });
    expect(countParts(many)).toBeLessThanOrEqual(LIMITS.parts * 2);
  });

  it('never throws, whatever it is given', () => {
    const node = fc.letrec((tie) => ({
      node: fc.oneof(
        { maxDepth: 4 },
        fc.jsonValue(),
        fc.record(
          {
            type: fc.constantFrom(
              'text',
              'input',
              'button',
              'list',
              'form',
              'row',
              'column',
              'script',
              '__proto__',
            ),
            text: fc.anything(),
            bind: fc.constantFrom('state.a', 'state.__proto__', 'x'),
            label: fc.string(),
            action: fc.string(),
            items: fc.constantFrom('state.list', 'item', 'state.a'),
            item: tie('node'),
            children: fc.array(tie('node'), { maxLength: 4 }),
            fields: fc.array(tie('node'), { maxLength: 3 }),
            submit: fc.anything(),
          },
          { requiredKeys: ['type'] },
        ),
      ),
    })).node;
    fc.assert(
      fc.property(node, fc.jsonValue(), (view, a) => {
        resolveView(view, { a: a as Json, list: [1, [2], { x: a as Json }] });
      }),
    );
  });
});

function fakeCaller(answer: (name: string, args: unknown) => unknown): Caller {
  const call = vi.fn((name: string, args: unknown) => Promise.resolve().then(() => answer(name, args)));
  return Object.assign(call, { pid: 7, many: vi.fn() }) as unknown as Caller;
}

describe('runAction', () => {
  const run = async (actions: Record<string, unknown>, state: Json, call = fakeCaller(() => ({}))) => {
    let now = state;
    await runAction(
      actions,
      'go',
      { state, index: 0 },
      { call, read: () => now, write: (next) => (now = next) },
    );
    return now;
  };

  it('makes calls with filled arguments and takes the answer into the state', async () => {
    const call = fakeCaller(() => ({ $typeName: 'x', data: new TextEncoder().encode('hi'), sizeBytes: 2n }));
    const next = await run(
      {
        go: {
          call: 'ReadFile',
          args: { path: '/home/{state.name}', offset: 5 },
          // biome-ignore lint/suspicious/noThenProperty: the format’s own word
          then: [
            { set: 'state.text', to: '{reply.data}' },
            { set: 'state.size', to: '{reply.size_bytes}' },
          ],
        },
      },
      { name: 'a' },
      call,
    );
    expect(next).toEqual({ name: 'a', text: 'hi', size: 2 });
    expect(call).toHaveBeenCalledWith('readFile', expect.objectContaining({ path: '/home/a', offset: 5n }));
  });

  it('writes text as bytes, appends and removes', async () => {
    const call = fakeCaller(() => ({}));
    const next = await run(
      {
        go: [
          { call: 'WriteFile', args: { path: '/tmp/x', data: 'ü' } },
          { append: 'state.list', value: { text: '{state.new}' } },
          { set: 'state.new', to: '' },
          { remove: 'state.list', at: '{index}' },
        ],
      },
      { new: 'two', list: [{ text: 'one' }] },
      call,
    );
    expect(next).toEqual({ new: '', list: [{ text: 'two' }] });
    expect(call).toHaveBeenCalledWith(
      'writeFile',
      expect.objectContaining({ data: new Uint8Array([0xc3, 0xbc]) }),
    );
  });

  it.each([
    [{}, 'There is no action `go`'],
    [{ go: { call: 'Nope' } }, 'There is no call `Nope`'],
    [{ go: { call: '__proto__' } }, 'There is no call'],
    [{ go: { call: 'ReadFile', args: { nope: 1 } } }, 'has no argument `nope`'],
    [{ go: { call: 'ReadFile', args: { path: 7 } } }, 'don’t fit'],
    [{ go: { run: 'x' } }, 'must be a `call`'],
    [{ go: { set: 'state.__proto__.x', to: 1 } }, 'no place in the state'],
    [{ go: { set: 'window.location', to: 'javascript:1' } }, 'no place in the state'],
    [{ go: { remove: 'state.list', at: 9 } }, 'has no item 9'],
    [{ go: { append: 'state.text', value: 1 } }, 'is not a list'],
    [{ go: { set: 'state.x', to: 'x'.repeat(300_000) } }, ''],
    [{ go: Array(201).fill({ set: 'state.x', to: 1 }) }, 'more than 200 steps'],
  ])('refuses %j', async (actions, message) => {
    const state = { list: [1], text: 'a' };
    if (message === '') {
      expect(JSON.stringify(await run(actions, state)).length).toBeLessThan(251 * 1024);
    } else await expect(run(actions, state)).rejects.toThrow(message);
  });
});

const base: RunningApp = {
  id: 'i',
  manifest_id: 'm',
  title: 'Tasks',
  icon: 'list',
  ui_spec: null,
  state: null,
  state_version: 0,
  window_id: 'w',
  window_pos: { x: 0, y: 0 },
  window_size: { width: 400, height: 300 },
  window_state: 'normal',
  restore_state: 'normal',
  restore_bounds: { x: 0, y: 0, width: 400, height: 300 },
  snap: null,
  z: 1,
  workspace: 0,
  version: 1,
  parent_id: null,
  pid: 7,
  fullscreen: false,
  min_size: { width: 320, height: 200 },
  singleton: false,
};

function Harness({ spec, call }: { spec: Json; call: Caller }) {
  const [state, setState] = useState<Json>(null);
  const app = { ...base, ui_spec: spec };
  return (
    <Dynamic app={app} pid={7} call={call} state={state} setState={setState} launch={async () => null} />
  );
}

const tasks: Json = {
  version: 1,
  state: { new: '', tasks: [{ text: '<script>alert(1)</script>' }] },
  view: {
    type: 'column',
    children: [
      { type: 'text', style: 'title', text: 'Tasks ({state.tasks.length})' },
      {
        type: 'form',
        fields: [{ bind: 'state.new', label: 'New task' }],
        submit: { label: 'Add', action: 'add' },
      },
      {
        type: 'list',
        items: 'state.tasks',
        empty: 'Nothing to do.',
        item: {
          type: 'row',
          children: [
            { type: 'text', text: '{item.text}' },
            { type: 'button', label: 'Done: {item.text}', action: 'done' },
          ],
        },
      },
      { type: 'nonsense' },
      { type: 'button', label: 'Save', action: 'save', style: 'primary' },
    ],
  },
  actions: {
    add: [
      { append: 'state.tasks', value: { text: '{state.new}' } },
      { set: 'state.new', to: '' },
    ],
    done: { remove: 'state.tasks', at: '{index}' },
    save: { call: 'WriteFile', args: { path: '/etc/x', data: '{state.tasks}' } },
  },
};

describe('Dynamic', () => {
  it('works, shows text as text, mistakes in place and refusals beside the control', async () => {
    const call = fakeCaller((name) => {
      throw new CallError(name, 7, {
        errno: 13,
        name: 'EACCES',
        message: 'refused',
        right: 'fs.write:/etc/x',
      });
    });
    const { container } = render(<Harness spec={tasks} call={call} />);
    const user = userEvent.setup();
    expect(container.querySelector('script')).toBeNull();
    expect(screen.getByText('<script>alert(1)</script>')).toBeTruthy();
    expect(screen.getByText('view.children[3]').parentElement?.textContent).toContain(
      'no part of type `nonsense`',
    );

    await user.type(screen.getByLabelText('New task'), 'write{Enter}');
    await waitFor(() => expect(screen.getByText('Tasks (2)')).toBeTruthy());
    expect((screen.getByLabelText('New task') as HTMLInputElement).value).toBe('');
    await user.click(screen.getByRole('button', { name: 'Done: write' }));
    await waitFor(() => expect(screen.getByText('Tasks (1)')).toBeTruthy());

    await user.click(screen.getByRole('button', { name: 'Save' }));
    await waitFor(() =>
      expect(screen.getByText(/Tasks may not write `\/etc\/x`.*Grant `fs.write:\/etc\/x`/)).toBeTruthy(),
    );
    const { violations } = await axe.run(container, { rules: { 'color-contrast': { enabled: false } } });
    expect(violations.map((each) => each.id)).toEqual([]);
  });

  it('says what is wrong with a description that is none', () => {
    render(<Harness spec={{ version: 2, view: null }} call={fakeCaller(() => ({}))} />);
    expect(screen.getByRole('alert').textContent).toContain('this desktop knows version 1');
  });
});
