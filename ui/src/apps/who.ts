import { useCallback, useEffect, useRef } from 'react';
import { create } from 'zustand';
import type { RunningApp } from '@/api/app';
import { explain, type Who } from '@/api/explain';
import type { Manifest, Service } from '@/api/manifest';
import { listServices } from '@/api/routes';
import { useDesktopStore } from '@/sync/desktop';

interface Services {
  services: readonly Service[] | null;
}

export const useServices = create<Services>(() => ({ services: null }));

let loading: Promise<void> | null = null;

/** Fetches the table of services, once. */
export function loadServices(): Promise<void> {
  loading ??= listServices()
    .then((services) => useServices.setState({ services }))
    .catch((error: unknown) => {
      loading = null;
      throw error;
    });
  return loading;
}

/** Everything an app asks for; null while it isn’t known what its services bring. */
export function grantsOf(manifest: Manifest, services: readonly Service[] | null): string[] | null {
  const own = (grant: string): string => grant.replaceAll('{own}', `/home/apps/${manifest.id}`);
  if (manifest.services.length === 0) return manifest.grants.map(own);
  if (services === null) return null;
  const brought = manifest.services.flatMap(
    (name) => services.find((service) => service.name === name)?.grants ?? [],
  );
  return [...new Set([...brought, ...manifest.grants].map(own))];
}

type Named = Pick<RunningApp, 'title' | 'manifest_id' | 'grants'>;

function whoOf({ title, manifest_id, grants: given }: Named): Who {
  const manifest = useDesktopStore.getState().manifests.find(({ id }) => id === manifest_id);
  const grants =
    given ?? (manifest === undefined ? null : grantsOf(manifest, useServices.getState().services));
  return grants === null ? { title } : { title, grants };
}

/** Says to a person why one of this app’s calls failed. */
export function useExplain(app: RunningApp): (error: unknown) => string {
  const latest = useRef(app);
  useEffect(() => {
    latest.current = app;
  });
  return useCallback((error: unknown) => explain(error, whoOf(latest.current)), []);
}
