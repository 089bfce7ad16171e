import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  formatAgo,
  formatAmount,
  formatCount,
  formatDate,
  formatDuration,
  formatMoment,
  formatPercent,
  formatSize,
} from '.';

describe('formatSize', () => {
  it.each([
    [0, '0 B'],
    [1, '1 B'],
    [1023, '1023 B'],
    [1024, '1.00 KiB'],
    [1500, '1.46 KiB'],
    [10 * 1024, '10.0 KiB'],
    [123 * 1024, '123 KiB'],
    [1023 * 1024, '1.00 MiB'],
    [5n * 1024n ** 3n, '5.00 GiB'],
    [-2048, '−2.00 KiB'],
    [Number.NaN, '–'],
  ])('%s is %s', (bytes, text) => expect(formatSize(bytes)).toBe(text));

  it('stays short, whatever the size', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), (bytes) => {
        expect(formatSize(bytes).length).toBeLessThanOrEqual(8);
      }),
    );
  });

  it('never says less of more, within a unit', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 1e12 }), fc.integer({ min: 0, max: 1e9 }), (bytes, more) => {
        const [one, unit] = formatSize(bytes).split(' ');
        const [other, otherUnit] = formatSize(bytes + more).split(' ');
        if (unit === otherUnit) expect(Number(other)).toBeGreaterThanOrEqual(Number(one));
      }),
    );
  });
});

it.each([
  [0, '0 %'],
  [0.004, '0.4 %'],
  [0.1234, '12 %'],
  [1, '100 %'],
  [4.5, '450 %'],
])('a share of %s is %s', (share, text) => expect(formatPercent(share)).toBe(text));

it.each([
  [0, '0 µs'],
  [999, '999 µs'],
  [1_000, '1 ms'],
  [999_499, '999 ms'],
  [999_500, '1.0 s'],
  [4_200_000, '4.2 s'],
  [59_400_000, '59 s'],
  [60_000_000, '1 min'],
  [185_000_000, '3 min 05 s'],
  [7_800_000_000n, '2 h 10 min'],
  [90_000_000_000, '1 d 01 h'],
])('a span of %s µs is %s', (span, text) => expect(formatDuration(span)).toBe(text));

it('counts', () => {
  expect(formatCount(1234567)).toBe('1\u202f234\u202f567');
  expect(formatAmount(1, 'file')).toBe('1 file');
  expect(formatAmount(0, 'file')).toBe('0 files');
  expect(formatAmount(2n, 'entry', 'entries')).toBe('2 entries');
});

it('says a moment as short as it stays clear', () => {
  const at = (...parts: [number, number, number, number, number]) => new Date(...parts).getTime() * 1000;
  const now = at(2026, 2, 3, 16, 0);
  expect(formatDate(at(2026, 2, 3, 9, 5), now)).toBe('09:05');
  expect(formatDate(at(2026, 0, 31, 9, 5), now)).toBe('31 Jan 09:05');
  expect(formatDate(at(2024, 11, 1, 9, 5), now)).toBe('1 Dec 2024');
  expect(formatMoment(at(2024, 11, 1, 9, 5))).toBe('1 Dec 2024, 09:05:00');
  expect(formatAgo(now - 10e6, now)).toBe('just now');
  expect(formatAgo(now - 300e6, now)).toBe('5 min ago');
  expect(formatAgo(now - 7200e6, now)).toBe('14:00');
});
