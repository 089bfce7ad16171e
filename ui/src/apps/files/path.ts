/** Paths and names, some of which are not UTF-8 and then exist only as bytes. Pure. */

/** A path for people, and its bytes where the text is not exact. */
export interface Path {
  readonly text: string;
  readonly raw: Uint8Array | null;
}

export interface Name {
  readonly text: string;
  readonly raw: Uint8Array | null;
}

const utf8 = new TextEncoder();

export function pathOf(text: string): Path {
  return { text: normalize(text), raw: null };
}

/** Absolute, without empty parts, `.` and `..`. */
export function normalize(text: string): string {
  const parts: string[] = [];
  for (const part of text.split('/')) {
    if (part === '' || part === '.') continue;
    if (part === '..') parts.pop();
    else parts.push(part);
  }
  return `/${parts.join('/')}`;
}

function bytesOf(path: Path): Uint8Array {
  return path.raw ?? utf8.encode(path.text);
}

export function join(folder: Path, name: Name): Path {
  const text = folder.text === '/' ? `/${name.text}` : `${folder.text}/${name.text}`;
  if (folder.raw === null && name.raw === null) return { text, raw: null };
  const head = folder.text === '/' ? new Uint8Array() : bytesOf(folder);
  const tail = name.raw ?? utf8.encode(name.text);
  const raw = new Uint8Array(head.length + 1 + tail.length);
  raw.set(head);
  raw[head.length] = 0x2f;
  raw.set(tail, head.length + 1);
  return { text, raw };
}

export function joinText(folder: Path, name: string): Path {
  return join(folder, { text: name, raw: null });
}

export function parent(path: Path): Path {
  if (path.text === '/') return path;
  const text = path.text.slice(0, Math.max(1, path.text.lastIndexOf('/')));
  if (path.raw === null) return { text, raw: null };
  const cut = Math.max(1, path.raw.lastIndexOf(0x2f));
  return exact(text, path.raw.slice(0, cut));
}

/** Drops the bytes where the text says the same. */
function exact(text: string, raw: Uint8Array): Path {
  const encoded = utf8.encode(text);
  const same = encoded.length === raw.length && encoded.every((byte, at) => byte === raw[at]);
  return { text, raw: same ? null : raw };
}

export function baseName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

/** The way from the root: each step with its name. */
export function steps(path: Path): { name: string; path: Path }[] {
  const list: { name: string; path: Path }[] = [];
  for (let at = path; at.text !== '/'; at = parent(at)) list.unshift({ name: baseName(at.text), path: at });
  return [{ name: '/', path: pathOf('/') }, ...list];
}

export function isWithin(path: string, folder: string): boolean {
  return folder === '/' || path === folder || path.startsWith(`${folder}/`);
}

/** As a call takes it. */
export function pathArgs(path: Path): { path: string; pathRaw?: Uint8Array<ArrayBuffer> } {
  return path.raw === null ? { path: path.text } : { path: path.text, pathRaw: new Uint8Array(path.raw) };
}

/** The address to read the file from, or to put it to, as a process. */
export function fileUrl(path: Path, pid: number): string {
  let text = '';
  for (const byte of bytesOf(path)) {
    const letter = String.fromCharCode(byte);
    text += /[A-Za-z0-9/._~-]/.test(letter) ? letter : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  }
  return `/files${text}?pid=${pid}`;
}

/** Why a name can’t be one; null if it can. */
export function nameProblem(name: string): string | null {
  if (name === '') return 'A name is needed.';
  if (name === '.' || name === '..') return 'That name stands for a folder.';
  if (name.includes('/')) return 'A name has no “/”.';
  if (name.includes('\0')) return 'A name has no NUL.';
  if (utf8.encode(name).length > 255) return 'A name has at most 255 bytes.';
  return null;
}

/** The first of `name`, `name 2`, `name 3` … that isn’t taken; what follows the last dot stays at the end. */
export function freeName(name: string, taken: (name: string) => boolean): string {
  if (!taken(name)) return name;
  const dot = name.lastIndexOf('.');
  const [stem, end] = dot > 0 ? [name.slice(0, dot), name.slice(dot)] : [name, ''];
  for (let number = 2; ; number++) {
    const next = `${stem} ${number}${end}`;
    if (!taken(next)) return next;
  }
}

export function toBase64(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes));
}

export function fromBase64(text: string): Uint8Array | null {
  try {
    return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  } catch {
    return null;
  }
}
