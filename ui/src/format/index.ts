/** Every size, span, date and share that the desktop shows is written here, the same everywhere. Pure functions. */

const BINARY = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB'] as const;

function toNumber(value: number | bigint): number {
  return typeof value === 'bigint' ? Number(value) : value;
}

/** A count of bytes with three significant digits: `0 B`, `999 B`, `1.46 KiB`, `23.4 MiB`. */
export function formatSize(bytes: number | bigint): string {
  const value = toNumber(bytes);
  if (!Number.isFinite(value)) return '–';
  const sign = value < 0 ? '−' : '';
  let size = Math.abs(value);
  let unit = 0;
  // 1023.5 and more would round to 1024 of the smaller unit.
  while (size >= (unit === 0 ? 1024 : 999.5) && unit < BINARY.length - 1) {
    size /= 1024;
    unit += 1;
  }
  if (unit === 0) return `${sign}${Math.round(size)} B`;
  const digits = size >= 99.95 ? 0 : size >= 9.995 ? 1 : 2;
  return `${sign}${size.toFixed(digits)} ${BINARY[unit]}`;
}

/** A share of a whole, given as 0–1: `0 %`, `0.4 %`, `12 %`. */
export function formatPercent(share: number): string {
  if (!Number.isFinite(share)) return '–';
  const percent = share * 100;
  const text = Math.abs(percent) < 9.95 && percent !== 0 ? percent.toFixed(1) : percent.toFixed(0);
  return `${text.replace('-', '−')} %`;
}

/** A span of time in microseconds with two units at most: `850 µs`, `12 ms`, `4.2 s`, `3 min 05 s`, `2 h 10 min`. */
export function formatDuration(micros: number | bigint): string {
  const value = toNumber(micros);
  if (!Number.isFinite(value)) return '–';
  const us = Math.max(0, Math.round(value));
  if (us < 1_000) return `${us} µs`;
  if (us < 999_500) return `${Math.round(us / 1_000)} ms`;
  if (us < 9_950_000) return `${(us / 1_000_000).toFixed(1)} s`;
  const seconds = Math.round(us / 1_000_000);
  if (seconds < 60) return `${seconds} s`;
  const two = (large: number, big: string, small: number, little: string): string =>
    small === 0 ? `${large} ${big}` : `${large} ${big} ${String(small).padStart(2, '0')} ${little}`;
  if (seconds < 3_600) return two(Math.floor(seconds / 60), 'min', seconds % 60, 's');
  const minutes = Math.floor(seconds / 60);
  if (minutes < 1_440) return two(Math.floor(minutes / 60), 'h', minutes % 60, 'min');
  const hours = Math.floor(minutes / 60);
  return two(Math.floor(hours / 24), 'd', hours % 24, 'h');
}

export function formatCount(value: number | bigint): string {
  return value.toLocaleString('en-GB').replaceAll(',', '\u202f');
}

/** `1 file`, `3 files`. */
export function formatAmount(count: number | bigint, one: string, many = `${one}s`): string {
  return `${formatCount(count)} ${count === 1 || count === 1n ? one : many}`;
}

const two = (value: number): string => String(value).padStart(2, '0');
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'] as const;

function dateOf(micros: number | bigint): Date | null {
  const date = new Date(toNumber(micros) / 1_000);
  return Number.isNaN(date.getTime()) ? null : date;
}

/** The local time of day: `09:05`. */
export function formatTime(micros: number | bigint): string {
  const date = dateOf(micros);
  return date === null ? '–' : `${two(date.getHours())}:${two(date.getMinutes())}`;
}

/** As short as it stays clear: `14:03` today, `3 Mar 14:03` this year, `3 Mar 2024` before. */
export function formatDate(micros: number | bigint, nowMicros: number = Date.now() * 1_000): string {
  const date = dateOf(micros);
  const now = dateOf(nowMicros);
  if (date === null || now === null) return '–';
  const day = `${date.getDate()} ${MONTHS[date.getMonth()] ?? ''}`;
  if (date.getFullYear() !== now.getFullYear()) return `${day} ${date.getFullYear()}`;
  if (date.getMonth() === now.getMonth() && date.getDate() === now.getDate()) return formatTime(micros);
  return `${day} ${formatTime(micros)}`;
}

/** All of it, for a tip: `3 Mar 2024, 14:03:09`. */
export function formatMoment(micros: number | bigint): string {
  const date = dateOf(micros);
  if (date === null) return '–';
  const day = `${date.getDate()} ${MONTHS[date.getMonth()] ?? ''} ${date.getFullYear()}`;
  return `${day}, ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

/** How long ago: `just now`, `5 min ago`, then the date. */
export function formatAgo(micros: number | bigint, nowMicros: number = Date.now() * 1_000): string {
  const seconds = (nowMicros - toNumber(micros)) / 1_000_000;
  if (seconds < 45) return 'just now';
  if (seconds < 3_570) return `${Math.max(1, Math.round(seconds / 60))} min ago`;
  return formatDate(micros, nowMicros);
}
