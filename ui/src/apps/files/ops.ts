import { MoveFlags } from '@/api/gen/uos/v1/files_pb';
import { CLIENT_HEADER, clientId, errorOf } from '@/api/http';
import { CallError, type Caller } from '@/api/kernel';
import { BIN, type Entry, HOME, isFolder } from './model';
import { fileUrl, isWithin, join, joinText, type Path, pathArgs, pathOf } from './path';

/** What people can do with files. Every function throws what `explain` can put into words. */

async function exists(call: Caller, path: Path): Promise<boolean> {
  return (await call('fileExists', pathArgs(path))).exists;
}

function there(call: Caller, path: Path): CallError {
  return new CallError('writeFile', call.pid, {
    errno: 17,
    name: 'EEXIST',
    message: `\`${path.text}\` is there already.`,
    hint: 'Choose another name.',
  });
}

export async function move(call: Caller, from: Path, to: Path): Promise<void> {
  const raw = {
    ...(from.raw === null ? {} : { fromRaw: new Uint8Array(from.raw) }),
    ...(to.raw === null ? {} : { toRaw: new Uint8Array(to.raw) }),
  };
  await call('moveFile', { from: from.text, to: to.text, ...raw, flags: MoveFlags.NO_REPLACE });
}

export async function createFolder(call: Caller, path: Path): Promise<void> {
  await call('createDirectory', pathArgs(path));
}

export async function createFile(call: Caller, path: Path): Promise<void> {
  if (await exists(call, path)) throw there(call, path);
  await call('writeFile', { ...pathArgs(path), data: new Uint8Array() });
}

/** Whether something removed from here waits in the bin, so that it can be brought back. */
export function hasBin(folder: Path): boolean {
  return isWithin(folder.text, HOME) && !isWithin(folder.text, BIN);
}

/** Moves things to the bin; returns how to bring them back. */
export async function throwAway(
  call: Caller,
  folder: Path,
  entries: readonly Entry[],
): Promise<() => Promise<void>> {
  const bin = pathOf(BIN);
  await call('createDirectory', { path: BIN, parents: true });
  const moved: { from: Path; to: Path }[] = [];
  const back = async (): Promise<void> => {
    for (const { from, to } of moved) await move(call, to, from);
  };
  for (const entry of entries) {
    const from = join(folder, entry);
    // Names in the bin are told apart by the clock where they would meet.
    const taken = await exists(call, join(bin, entry));
    const name = taken ? `${entry.text} ${Date.now().toString(36)}` : entry.text;
    const to = taken ? joinText(bin, name) : join(bin, entry);
    await move(call, from, to);
    moved.push({ from, to });
  }
  return back;
}

/** Removes things for good. */
export async function destroy(call: Caller, folder: Path, entries: readonly Entry[]): Promise<void> {
  for (const entry of entries) {
    const path = pathArgs(join(folder, entry));
    if (isFolder(entry)) await call('removeDirectory', { ...path, recursive: true });
    else await call('deleteFile', path);
  }
}

export interface UploadOptions {
  signal: AbortSignal;
  /** Told how many bytes have left, now and then. */
  onProgress: (sent: number) => void;
}

/** Sends a file to the server as it is read, without holding it in memory. There the whole of it appears, or nothing. */
export function upload(
  path: Path,
  pid: number,
  file: Blob,
  { signal, onProgress }: UploadOptions,
): Promise<void> {
  return new Promise((resolve, reject) => {
    // fetch can’t tell how far an upload has come.
    const request = new XMLHttpRequest();
    const stop = (): void => request.abort();
    request.open('PUT', fileUrl(path, pid));
    request.setRequestHeader('content-type', 'application/octet-stream');
    request.setRequestHeader(CLIENT_HEADER, clientId);
    request.upload.onprogress = (event) => onProgress(event.loaded);
    request.onload = () => {
      const { status, statusText, responseText } = request;
      if (status >= 200 && status < 300) resolve();
      else void errorOf(new Response(responseText, { status, statusText })).then(reject);
    };
    request.onerror = () =>
      reject(new Error('The server can’t be reached, or broke off. Nothing was kept; try again.'));
    request.onabort = () => reject(new DOMException('It was cancelled.', 'AbortError'));
    request.onloadend = () => signal.removeEventListener('abort', stop);
    signal.addEventListener('abort', stop);
    if (signal.aborted) reject(signal.reason);
    else request.send(file);
  });
}
