import { describe, expect, it } from 'vitest';
import type { RunningApp } from '@/api/app';
import { ApiError } from '@/api/http';
import { inSight, sayCount } from './Panel';
import { sayBytes, spell } from './spell';
import type { Asked } from './store';
import { askerOf, sayFailure, sayWanted, shorten, visible } from './words';

describe('what a request says', () => {
  it.each([
    ['/home/a b', '/home/a b'],
    ['/home/\u202egnp.exe', '/home/\\u{202e}gnp.exe'],
    ['a\nb\u0000\u200b', 'a\\u{a}b\\u{0}\\u{200b}'],
    ['größer 文 😀', 'größer 文 😀'],
  ])('%j is shown as %j', (text, shown) => expect(visible(text)).toBe(shown));

  it('leaves out the middle, not the end, and no half characters', () => {
    expect(shorten('/home/x', 7)).toBe('/home/x');
    expect(shorten('/home/long/way/end', 9)).toBe('/hom…/end');
    expect(shorten('😀😀😀😀😀', 3)).toBe('😀…😀');
    const wanted = sayWanted({ right: `fs.write:/home/${'deep/'.repeat(900)}end.txt` });
    expect(wanted.length).toBe(240);
    expect(wanted).toMatch(/^create, change and delete \/home\/deep.*…\S*\/end\.txt$/);
  });

  it('calls an app by its title and a process by its name', () => {
    const apps = { a: { title: 'Notes', icon: 'notebook', pid: 7 } as RunningApp };
    expect(askerOf({ pid: 7, name: 'notes' }, apps)).toEqual({ name: 'Notes', icon: 'notebook' });
    expect(askerOf({ pid: 8, name: 'Notes' }, apps)).toEqual({ name: 'Notes', icon: null });
    expect(askerOf({ pid: 8, name: ' ' }, apps).name).toBe('A process without a name');
    expect(askerOf({ pid: 8, name: 'x'.repeat(100) }, apps).name).toHaveLength(60);
  });

  it('says why an answer was not taken', () => {
    const refused = (detail: unknown) =>
      sayFailure(new ApiError(403, 'refused', 'EPERM: it may not', detail));
    expect(refused({ right: 'fs.write:/x', hint: 'a child gets less' })).toBe(
      'You can’t give `fs.write:/x`: you don’t hold it yourself.',
    );
    expect(refused({ right: null, hint: 'allow it once' })).toBe('It may not; allow it once.');
    expect(refused(null)).toBe('It may not.');
    expect(sayFailure(new ApiError(0, 'offline', 'The server can’t be reached.'))).toBe(
      'The server can’t be reached.',
    );
  });

  it('counts, and leaves room for others beside one that asks a lot', () => {
    expect([0, 1, 2].map(sayCount)).toEqual([
      'No call waits for you',
      '1 call waits for you',
      '2 calls wait for you',
    ]);
    const ask = (id: number, pid: number) => ({ id, pid }) as Asked;
    const many = [...Array.from({ length: 16 }, (_, at) => ask(at, 5)), ask(16, 6), ask(17, 7)];
    expect(inSight(many).map(({ id }) => id)).toEqual([0, 1, 2, 16, 17]);
    const crowd = Array.from({ length: 64 }, (_, at) => ask(at, at));
    expect(inSight(crowd)).toEqual(crowd.slice(0, 20));
  });
});

describe('the call itself', () => {
  it('names its arguments in the order of the contract, and reads what is text', () => {
    const data = btoa('hello\nworld');
    expect(
      spell({ call: 'WriteFile', arguments: { append: true, data, path: '/a\u202e', later: [1] } }),
    ).toEqual([
      { name: 'path', note: null, text: '/a\\u{202e}' },
      { name: 'data', note: '11 bytes', text: 'hello\nworld' },
      { name: 'append', note: null, text: 'true' },
      { name: 'later', note: null, text: '[\n  1\n]' },
    ]);
    expect(spell({ call: 'CreateProcess', arguments: { args: ['-c', 'x;y'], command: '/bin/sh' } })).toEqual([
      { name: 'command', note: null, text: '/bin/sh' },
      { name: 'args', note: null, text: '[\n  "-c",\n  "x;y"\n]' },
    ]);
    expect(spell({ call: 'FromTheFuture', arguments: { data } })).toEqual([
      { name: 'data', note: null, text: data },
    ]);
    for (const none of [null, [], 'x', 7, {}])
      expect(spell({ call: 'WriteFile', arguments: none })).toEqual([]);
  });

  it.each([
    ['', { note: '0 bytes', text: '' }],
    ['YQ==', { note: '1 byte', text: 'a' }],
    ['AAEC', { note: '3 bytes, in base64', text: 'AAEC' }],
    ['/////w==', { note: '4 bytes, in base64', text: '/////w==' }],
    // Cut within base64, and within a character.
    ['aGVsbG8gd29ybG…', { note: 'the first 9 bytes', text: 'hello wor…' }],
    ['YcOkw…', { note: 'the first 3 bytes', text: 'aä…' }],
    ['YWHD…', { note: 'the first 3 bytes', text: 'aa…' }],
    ['not base64!', { note: 'base64', text: 'not base64!' }],
  ])('the payload %j is %j', (base64, said) => expect(sayBytes(base64)).toEqual(said));
});
