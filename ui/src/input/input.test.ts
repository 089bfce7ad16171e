import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { keyLabels, matchesChord, parseChord } from './chord';
import { isDoubleTap, isTap, swipeOf } from './gestures';
import { cleanText, fitNumber, formatDate, formatNumber, parseDate, parseNumber } from './values';

const press = (key: string, over: Partial<KeyboardEvent> = {}) => ({
  key,
  code: '',
  ctrlKey: false,
  altKey: false,
  shiftKey: false,
  metaKey: false,
  ...over,
});

describe('chords', () => {
  it('reads modifiers and keys', () => {
    expect(parseChord('Ctrl+Alt+ArrowLeft')).toEqual({
      ctrl: true,
      alt: true,
      shift: false,
      meta: false,
      key: 'ArrowLeft',
    });
    expect(parseChord('Ctrl++').key).toBe('+');
    expect(parseChord('Ctrl+Space').key).toBe(' ');
    expect(() => parseChord('Hyper+A')).toThrow(/no modifier/);
    expect(() => parseChord('Ctrl+')).toThrow(/names no key/);
  });

  it('takes Mod as the platform has it', () => {
    expect(parseChord('Mod+K', true)).toMatchObject({ meta: true, ctrl: false });
    expect(parseChord('Mod+K', false)).toMatchObject({ meta: false, ctrl: true });
  });

  it('matches by what is typed, or by the place of the key', () => {
    const close = parseChord('Ctrl+Alt+W');
    expect(matchesChord(press('w', { ctrlKey: true, altKey: true }), close)).toBe(true);
    expect(matchesChord(press('∑', { code: 'KeyW', ctrlKey: true, altKey: true }), close)).toBe(true);
    expect(matchesChord(press('w', { ctrlKey: true }), close)).toBe(false);
    expect(matchesChord(press('w', { ctrlKey: true, altKey: true, shiftKey: true }), close)).toBe(false);
  });

  it('leaves AltGr to those who type with it', () => {
    const chord = parseChord('Ctrl+Alt+M');
    const typed = press('µ', { code: 'KeyM', ctrlKey: true, altKey: true });
    expect(matchesChord({ ...typed, getModifierState: (name) => name === 'AltGraph' }, chord)).toBe(false);
  });

  it('takes a symbol with or without Shift', () => {
    const sheet = parseChord('Ctrl+/');
    expect(matchesChord(press('/', { ctrlKey: true }), sheet)).toBe(true);
    expect(matchesChord(press('/', { ctrlKey: true, shiftKey: true }), sheet)).toBe(true);
  });

  it('labels keys as the platform does', () => {
    expect(keyLabels('Ctrl+Alt+ArrowLeft', false)).toEqual(['Ctrl', 'Alt', '←']);
    expect(keyLabels('Mod+K', true)).toEqual(['⌘', 'K']);
  });
});

describe('gestures', () => {
  const at = (x: number, y: number, ms: number) => ({ x, y, at: ms });
  it('tells a swipe from what is slow, short or slanted', () => {
    expect(swipeOf(at(200, 0, 0), at(100, 10, 200))).toBe('left');
    expect(swipeOf(at(0, 100, 0), at(4, 200, 200))).toBe('down');
    expect(swipeOf(at(0, 0, 0), at(100, 0, 900))).toBeNull();
    expect(swipeOf(at(0, 0, 0), at(20, 0, 100))).toBeNull();
    expect(swipeOf(at(0, 0, 0), at(100, 90, 100))).toBeNull();
  });
  it('tells taps', () => {
    expect(isTap(at(0, 0, 0), at(4, 4, 100))).toBe(true);
    expect(isTap(at(0, 0, 0), at(40, 4, 100))).toBe(false);
    expect(isDoubleTap(at(0, 0, 0), at(5, 5, 200))).toBe(true);
    expect(isDoubleTap(at(0, 0, 0), at(5, 5, 900))).toBe(false);
    expect(isDoubleTap(null, at(5, 5, 900))).toBe(false);
  });
});

describe('values', () => {
  it('cleans text', () => {
    expect(cleanText('  a\tb\nc\u0007 ')).toBe('a b c');
    expect(cleanText('a\r\nb\u0000', { multiline: true })).toBe('a\nb');
    expect(cleanText('🙂🙂🙂', { max: 2 })).toBe('🙂🙂');
    fc.assert(
      fc.property(fc.string(), (text) => {
        expect(cleanText(cleanText(text))).toBe(cleanText(text));
      }),
    );
  });
  it('reads numbers as people write them', () => {
    expect(parseNumber('1,234.5')).toBe(1234.5);
    expect(parseNumber('1 234')).toBe(1234);
    expect(parseNumber('−3')).toBe(-3);
    expect(parseNumber('1e999')).toBeNull();
    expect(parseNumber('12 kB')).toBeNull();
    expect(parseNumber('')).toBeNull();
  });
  it('takes back every number that it writes', () => {
    const value = fc.double({ noNaN: true, noDefaultInfinity: true });
    fc.assert(
      fc.property(value, (number) => {
        expect(parseNumber(formatNumber(number))).toBe(number + 0);
      }),
    );
  });
  it('keeps numbers within their rules', () => {
    expect(fitNumber(1.005, { decimals: 2 })).toBe(1.01);
    expect(fitNumber(-4, { min: 0 })).toBe(0);
    expect(fitNumber(4, { max: 3 })).toBe(3);
  });
  it('reads dates that exist, and writes them the same', () => {
    expect(parseDate('2026-02-29')).toBeNull();
    expect(parseDate('2024-02-29')).not.toBeNull();
    expect(parseDate('yesterday')).toBeNull();
    const day = fc.date({ min: new Date(1, 0, 1), max: new Date(9999, 11, 30), noInvalidDate: true });
    fc.assert(
      fc.property(day, (date) => {
        expect(formatDate(parseDate(formatDate(date)) as Date)).toBe(formatDate(date));
      }),
    );
  });
});
