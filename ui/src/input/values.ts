/** What people type, turned into values and back. Pure. */

export interface TextRules {
  max?: number;
  multiline?: boolean;
}

/** Without control characters, outer space, and more than `max` characters; one line unless told otherwise. */
export function cleanText(
  text: string,
  { max = Number.POSITIVE_INFINITY, multiline = false }: TextRules = {},
): string {
  const lines = text.replace(/\r\n?/g, '\n').normalize('NFC');
  const kept = multiline
    ? lines.replace(/[^\P{Cc}\n\t]/gu, '')
    : lines.replace(/\s+/g, ' ').replace(/\p{Cc}/gu, '');
  return [...kept.trim()].slice(0, max).join('');
}

export interface NumberRules {
  min?: number;
  max?: number;
  /** Digits after the point at most. */
  decimals?: number;
}

/** Takes "1 234.5", "1,234.5" and "-3"; null for anything that is no finite number. */
export function parseNumber(text: string): number | null {
  const plain = text
    .trim()
    .replace(/(?<=\d)[\s,_'](?=\d{3}(?!\d))/g, '')
    .replace('−', '-');
  if (!/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(plain)) return null;
  const value = Number(plain);
  return Number.isFinite(value) ? value : null;
}

export function fitNumber(value: number, { min, max, decimals }: NumberRules): number {
  const scale = decimals === undefined ? 1 : 10 ** decimals;
  const rounded = decimals === undefined ? value : Math.round((value + Number.EPSILON) * scale) / scale;
  return Math.min(Math.max(rounded, min ?? Number.NEGATIVE_INFINITY), max ?? Number.POSITIVE_INFINITY);
}

/** With thin spaces between thousands: read alike in every language, and taken back by parseNumber. */
export function formatNumber(value: number, { decimals }: Pick<NumberRules, 'decimals'> = {}): string {
  if (!Number.isFinite(value)) return '';
  const text = decimals === undefined ? String(value) : value.toFixed(decimals);
  if (text.includes('e')) return text;
  const [whole = '', fraction] = text.split('.');
  const grouped = whole.replace(/\B(?=(\d{3})+$)/g, '\u2009');
  return fraction === undefined ? grouped : `${grouped}.${fraction}`;
}

const DATE = /^(\d{4})-(\d{2})-(\d{2})$/;

/** "2026-02-28" as that day in this place; null for anything else, and for days that do not exist. */
export function parseDate(text: string): Date | null {
  const parts = DATE.exec(text.trim());
  if (!parts) return null;
  const [year, month, day] = [Number(parts[1]), Number(parts[2]), Number(parts[3])];
  const date = new Date(2000, month - 1, day);
  date.setFullYear(year, month - 1, day);
  return date.getMonth() === month - 1 && date.getDate() === day && year > 0 ? date : null;
}

export function formatDate(date: Date): string {
  if (Number.isNaN(date.getTime())) return '';
  const two = (value: number) => String(value).padStart(2, '0');
  return `${String(date.getFullYear()).padStart(4, '0')}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
}
