import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  fileUrl,
  freeName,
  fromBase64,
  isWithin,
  join,
  joinText,
  nameProblem,
  normalize,
  parent,
  pathOf,
  steps,
  toBase64,
} from './path';

describe('paths', () => {
  it.each([
    ['', '/'],
    ['/', '/'],
    ['//a//b/', '/a/b'],
    ['/a/./b/../c', '/a/c'],
    ['/../..', '/'],
    ['a', '/a'],
  ])('%s is %s', (text, path) => expect(normalize(text)).toBe(path));

  it('goes down and up again', () => {
    const segment = fc.string({ minLength: 1, maxLength: 8 }).filter((name) => nameProblem(name) === null);
    fc.assert(
      fc.property(fc.array(segment, { maxLength: 6 }), segment, (parts, name) => {
        const folder = parts.reduce(joinText, pathOf('/'));
        const below = joinText(folder, name);
        expect(parent(below)).toEqual(folder);
        expect(isWithin(below.text, folder.text)).toBe(true);
        expect(steps(below)).toHaveLength(parts.length + 2);
        expect(steps(below).at(-1)?.path).toEqual(below);
      }),
    );
  });

  it('keeps the bytes of names that are not UTF-8, and only for as long as they matter', () => {
    const odd = { text: 'caf\ufffd', raw: new Uint8Array([0x63, 0x61, 0x66, 0xe9]) };
    const path = join(pathOf('/home'), odd);
    expect(new TextDecoder('latin1').decode(path.raw ?? new Uint8Array())).toBe('/home/café');
    expect(joinText(path, 'x').raw).not.toBeNull();
    expect(parent(joinText(path, 'x'))).toEqual(path);
    expect(parent(path)).toEqual({ text: '/home', raw: null });
    expect(fileUrl(path, 7)).toBe('/files/home/caf%E9?pid=7');
    expect(fromBase64(toBase64(odd.raw))).toEqual(odd.raw);
    expect(fromBase64('%')).toBeNull();
  });

  it('writes addresses that mean the same file', () => {
    expect(fileUrl(pathOf('/home/a b?#%/ü'), 3)).toBe('/files/home/a%20b%3F%23%25/%C3%BC?pid=3');
  });

  it('judges and finds names', () => {
    expect(nameProblem('notes.txt')).toBeNull();
    for (const name of ['', '.', '..', 'a/b', 'a\0', 'ü'.repeat(128)])
      expect(nameProblem(name)).not.toBeNull();
    const taken = new Set(['a.txt', 'a 2.txt', '.env', 'folder']);
    const free = (name: string) => freeName(name, (each) => taken.has(each));
    expect(free('b')).toBe('b');
    expect(free('a.txt')).toBe('a 3.txt');
    expect(free('.env')).toBe('.env 2');
    expect(free('folder')).toBe('folder 2');
  });
});
