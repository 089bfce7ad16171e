import { expect, it } from 'vitest';
import { fits, pathOfFound, pick, typedPath } from './finds';

it('picks what has every word, and no more than a few', () => {
  const names = ['letters to aunt', 'letters to uncle', 'aunt', 'Aunt’s LETTERS'];
  const text = (name: string) => name;
  expect(pick(names, 'aunt letters', text)).toEqual(['letters to aunt', 'Aunt’s LETTERS']);
  expect(pick(names, 'letters', text, 2)).toEqual(['letters to aunt', 'letters to uncle']);
  expect(pick(names, '  ', text)).toEqual([]);
});

it.each([
  ['notes', null],
  ['/', { folder: '/', start: '' }],
  ['/ho', { folder: '/', start: 'ho' }],
  ['/home/fi', { folder: '/home', start: 'fi' }],
  ['/home/files/', { folder: '/home/files', start: '' }],
])('%s is typed as %j', (words, typed) => expect(typedPath(words)).toEqual(typed));

it('knows where what it found is', () => {
  expect(pathOfFound({ folder: '/', name: 'home', directory: true })).toBe('/home');
  expect(pathOfFound({ folder: '/home', name: 'files', directory: true })).toBe('/home/files');
});

it.each([
  ['System Monitor', 'system monitor', 1],
  ['System Monitor', 'sys', 0.9],
  ['System Monitor', 'mon', 0.7],
  ['System Monitor', 'stem', 0.5],
  ['System Monitor', 'sm', 0.4],
  ['System Monitor', 'monitor sys', 0.3],
  ['System Monitor', 'sr', 0],
])('%s is what “%s” means, by %f', (name, search, score) => expect(fits([name], search)).toBe(score));
