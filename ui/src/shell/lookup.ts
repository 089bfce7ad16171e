import { FileKind } from '@/api/gen/uos/v1/files_pb';
import { ProcessState } from '@/api/gen/uos/v1/processes_pb';
import { callAs } from '@/api/kernel';
import type { FoundFile, FoundProcess } from './finds';

/** Where a person keeps files; a path that is typed reaches the rest. */
const ROOT = '/home/files';
/** So many names are looked at, folder by folder; a larger tree is found by typing its path. */
const MOST_NAMES = 600;

// The shell is no app: it looks as the system itself.
const call = callAs(0);

/** What a folder holds, but for hidden names and those that are no text. A folder that can't be read holds nothing. */
export async function listFolder(path: string, signal: AbortSignal): Promise<FoundFile[]> {
  const { entries } = await call('listDirectory', { path, limit: MOST_NAMES }, { signal }).catch(() => ({
    entries: [],
  }));
  return entries
    .filter((entry) => entry.nameRaw.length === 0 && !entry.name.startsWith('.'))
    .map((entry) => ({
      folder: path,
      name: entry.name,
      directory: entry.kind === FileKind.DIRECTORY,
    }));
}

/** The names under ROOT, those near the top first. */
export async function walkFiles(signal: AbortSignal): Promise<FoundFile[]> {
  const found: FoundFile[] = [];
  const folders = [ROOT];
  for (let folder = folders.shift(); folder !== undefined; folder = folders.shift()) {
    const here = await listFolder(folder, signal);
    found.push(...here);
    if (found.length >= MOST_NAMES || signal.aborted) break;
    folders.push(...here.filter((each) => each.directory).map((each) => `${each.folder}/${each.name}`));
  }
  return found.slice(0, MOST_NAMES);
}

export async function listProcesses(signal: AbortSignal): Promise<FoundProcess[]> {
  const { processes } = await call('getProcessList', {}, { signal }).catch(() => ({ processes: [] }));
  return processes
    .filter((process) => process.state === ProcessState.RUNNING)
    .map((process) => ({ pid: Number(process.pid), name: process.name }));
}
