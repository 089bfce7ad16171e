/** A keyboard chord such as "Ctrl+Alt+ArrowLeft". "Mod" is Command on a Mac and Ctrl elsewhere. */
export interface Chord {
  ctrl: boolean;
  alt: boolean;
  shift: boolean;
  meta: boolean;
  /** As in KeyboardEvent.key, letters in lower case. */
  key: string;
}

export type KeyLike = Pick<KeyboardEvent, 'key' | 'code' | 'ctrlKey' | 'altKey' | 'shiftKey' | 'metaKey'> &
  Partial<Pick<KeyboardEvent, 'getModifierState'>>;

export function onMac(platform = globalThis.navigator?.platform ?? ''): boolean {
  return /mac|iphone|ipad/i.test(platform);
}

export function parseChord(text: string, mac = onMac()): Chord {
  // A chord may end in the plus key itself: "Ctrl++".
  const parts = text.endsWith('++') ? [...text.slice(0, -2).split('+'), '+'] : text.split('+');
  const chord: Chord = { ctrl: false, alt: false, shift: false, meta: false, key: '' };
  for (const [at, part] of parts.entries()) {
    if (at === parts.length - 1) chord.key = normalKey(part);
    else if (part === 'Ctrl') chord.ctrl = true;
    else if (part === 'Alt') chord.alt = true;
    else if (part === 'Shift') chord.shift = true;
    else if (part === 'Meta') chord.meta = true;
    else if (part === 'Mod' && mac) chord.meta = true;
    else if (part === 'Mod') chord.ctrl = true;
    else throw new Error(`"${part}" in the chord "${text}" is no modifier`);
  }
  if (chord.key === '') throw new Error(`the chord "${text}" names no key`);
  return chord;
}

function normalKey(key: string): string {
  if (key === 'Space') return ' ';
  return key.length === 1 ? key.toLowerCase() : key;
}

/** The key that a US layout has in this place, for when a modifier or another layout changed what it types. */
function keyOfCode(code: string): string | undefined {
  if (/^Key[A-Z]$/.test(code)) return code.slice(3).toLowerCase();
  if (/^Digit\d$/.test(code)) return code.slice(5);
  return codes[code];
}

const codes: Readonly<Record<string, string>> = {
  Backquote: '`',
  Slash: '/',
  Backslash: '\\',
  Comma: ',',
  Period: '.',
  Semicolon: ';',
  Quote: "'",
  BracketLeft: '[',
  BracketRight: ']',
  Minus: '-',
  Equal: '=',
  Space: ' ',
};

export function matchesChord(event: KeyLike, chord: Chord): boolean {
  // AltGr reports Ctrl and Alt as pressed, and types characters: it is no chord of ours.
  if (chord.ctrl && chord.alt && event.getModifierState?.('AltGraph')) return false;
  if (event.ctrlKey !== chord.ctrl || event.altKey !== chord.alt || event.metaKey !== chord.meta)
    return false;
  const typed = normalKey(event.key);
  // A symbol such as "?" is typed with Shift on some layouts and without on others.
  const shiftMatters = chord.key.length > 1 || /[a-z0-9 `]/.test(chord.key);
  if (shiftMatters && event.shiftKey !== chord.shift) return false;
  return typed === chord.key || (chord.key.length === 1 && keyOfCode(event.code) === chord.key);
}

const names: Readonly<Record<string, string>> = {
  ArrowLeft: '←',
  ArrowRight: '→',
  ArrowUp: '↑',
  ArrowDown: '↓',
  Escape: 'Esc',
  ' ': 'Space',
  Delete: 'Del',
  PageUp: 'PgUp',
  PageDown: 'PgDn',
};

/** The chord as the keys are labelled on this platform, in the order in which they are pressed. */
export function keyLabels(text: string, mac = onMac()): string[] {
  const chord = parseChord(text, mac);
  const labels: string[] = [];
  if (chord.ctrl) labels.push(mac ? '⌃' : 'Ctrl');
  if (chord.alt) labels.push(mac ? '⌥' : 'Alt');
  if (chord.shift) labels.push(mac ? '⇧' : 'Shift');
  if (chord.meta) labels.push(mac ? '⌘' : 'Super');
  labels.push(names[chord.key] ?? (chord.key.length === 1 ? chord.key.toUpperCase() : chord.key));
  return labels;
}
