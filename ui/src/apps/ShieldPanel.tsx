import { useCallback, useEffect, useState } from 'react';
import { builtinOf, type RunningApp } from '@/api/app';
import type { ProcessInfo } from '@/api/gen/uos/v1/processes_pb';
import { callAs } from '@/api/kernel';
import { useEvent } from '@/api/live';
import { cx, ProcessMark } from '@/components';
import { useDesktopStore } from '@/sync/desktop';
import { LEVELS } from './levels';
import { sayGrant } from './rights';
import type { Trust } from './Shield';

const HEADS: Record<Trust, string> = {
  enforced: 'It is held to its rights.',
  weakened: 'It is not held to its rights.',
  none: 'It has no process.',
};

/** What a process says of itself; it needs no right for that. */
function useInfo(pid: number | null): ProcessInfo | null {
  const [info, setInfo] = useState<ProcessInfo | null>(null);
  useEffect(() => {
    if (pid === null) return;
    const control = new AbortController();
    callAs(pid)('getProcessInfo', { pid: BigInt(pid) }, { signal: control.signal })
      .then((reply) => setInfo(reply.process ?? null))
      .catch(() => undefined);
    return () => control.abort();
  }, [pid]);
  return info;
}

/** What its process may do by now: what it asked for is added to what it was given. Null until that is known. */
function useGrants(pid: number | null): readonly string[] | null {
  const [grants, setGrants] = useState<readonly string[] | null>(null);
  const load = useCallback(
    (signal?: AbortSignal) => {
      if (pid === null) return;
      callAs(pid)('getGrants', { pid: BigInt(pid) }, signal === undefined ? {} : { signal })
        .then((reply) => setGrants(reply.grants))
        .catch(() => undefined);
    },
    [pid],
  );
  useEffect(() => {
    const control = new AbortController();
    load(control.signal);
    return () => control.abort();
  }, [load]);
  useEvent('right_settled', (event) => {
    if (event.pid === pid && event.outcome === 'always') load();
  });
  return grants;
}

/** Each guarantee and what holds it, then the rights. Only what is known: nothing is promised that nobody checks. */
export default function ShieldPanel({ appId, trust }: { appId: string; trust: Trust }) {
  const app = useDesktopStore((state) => state.apps[appId]);
  const info = useInfo(app?.pid ?? null);
  const held = useGrants(app?.pid ?? null);
  if (app === undefined) return null;
  const grants = held ?? app.grants ?? null;
  return (
    <div className="flex flex-col gap-3">
      <div>
        <h2 className="font-semibold">{HEADS[trust]}</h2>
        <p className="mt-0.5 flex items-center gap-1.5 text-sm text-muted">
          <ProcessMark pid={app.pid} />
          <span className="truncate">{app.title}</span>
          {app.pid === null ? null : <span className="font-mono">process {app.pid}</span>}
        </p>
      </div>
      <dl className="flex flex-col gap-2">
        <Guarantees app={app} trust={trust} info={info} />
      </dl>
      {trust === 'none' ? null : (
        <div>
          <h3 className="text-sm font-medium text-muted">
            {trust === 'weakened' ? 'What its own process was given' : 'What it may do'}
          </h3>
          {grants === null || grants.length === 0 ? (
            <p className="mt-1">
              {grants === null
                ? 'The server does not say.'
                : 'Nothing beyond itself: no files, no other processes, no network.'}
            </p>
          ) : (
            <ul aria-label="Rights" className="mt-1">
              {grants.map((grant) => (
                <li key={grant} className="border-t border-line/60 py-1.5">
                  <span className="block break-words">{sayGrant(grant)}</span>
                  <code className="block text-xs break-all text-muted">{grant}</code>
                </li>
              ))}
            </ul>
          )}
        </div>
      )}
      <p className="text-sm text-muted">
        {trust === 'none'
          ? 'Restart it in its window, or close it.'
          : 'Closing the app ends its process and everything it was given.'}
      </p>
    </div>
  );
}

function Guarantees({ app, trust, info }: { app: RunningApp; trust: Trust; info: ProcessInfo | null }) {
  if (trust === 'none')
    return <Guarantee name="Calls" holds="The kernel refuses every call of a process that ended." />;
  return (
    <>
      {trust === 'weakened' ? (
        <Guarantee
          name="Calls"
          weak
          holds="It calls as process 1, which holds every right: it shows and ends any process of the system."
        />
      ) : (
        <Guarantee
          name="Calls"
          holds="The kernel checks each one against the rights below, and refuses the rest."
        />
      )}
      <Guarantee name="Record" holds="Every call it makes is in the audit log, whatever came of it." />
      <Guarantee
        name="Code"
        holds={
          builtinOf(app.ui_spec) === null
            ? 'It is data, drawn as text. It brings no script, and the page runs none.'
            : 'It is a part of the desktop and came with it.'
        }
      />
      {info === null ? null : (
        <Guarantee
          name="Level"
          holds={`${LEVELS[info.level].replace(/^./, (first) => first.toUpperCase())}${
            info.osPid === undefined
              ? '; it runs no program on the host'
              : `, process ${info.osPid} of the host`
          }.`}
        />
      )}
    </>
  );
}

function Guarantee({ name, holds, weak }: { name: string; holds: string; weak?: boolean }) {
  return (
    <div className="flex gap-3">
      <dt className={cx('w-14 shrink-0 text-sm', weak ? 'font-semibold text-warning' : 'text-muted')}>
        {name}
      </dt>
      <dd className="min-w-0 flex-1">{holds}</dd>
    </div>
  );
}
