import {
  acceptedSchema,
  appsSchema,
  closedSchema,
  focusedSchema,
  type RunningApp,
  runningAppSchema,
  type WindowChange,
} from './app';
import { type RightAnswer, type RightRequest, rightRequestsSchema } from './asked';
import { nothing, request } from './http';
import type { Json } from './json';
import {
  type Manifest,
  type ManifestDraft,
  manifestSchema,
  manifestsSchema,
  type Service,
  servicesSchema,
} from './manifest';
import { type Restored, restoredSchema, type Session, sessionSchema, sessionsSchema } from './session';
import { type System, systemSchema } from './system';

const segment = encodeURIComponent;

export async function listApps(): Promise<RunningApp[]> {
  return (await request('GET', '/apps', { schema: appsSchema })).apps;
}

export function getApp(id: string): Promise<RunningApp> {
  return request('GET', `/apps/${segment(id)}`, { schema: runningAppSchema });
}

export async function closeApp(id: string): Promise<string[]> {
  return (await request('DELETE', `/apps/${segment(id)}`, { schema: closedSchema })).closed;
}

export function focusApp(id: string): Promise<{ z: number; version: number }> {
  return request('POST', `/apps/${segment(id)}/focus`, { schema: focusedSchema });
}

export function restartApp(id: string): Promise<RunningApp> {
  return request('POST', `/apps/${segment(id)}/restart`, { schema: runningAppSchema });
}

export function launchApp(manifestId: string, parentId?: string): Promise<RunningApp> {
  return request('POST', `/registry/apps/${segment(manifestId)}/launch`, {
    schema: runningAppSchema,
    body: parentId === undefined ? {} : { parent_id: parentId },
  });
}

export async function saveWindow(
  appId: string,
  change: WindowChange,
  keepalive = false,
): Promise<{ version: number }> {
  return request('POST', `/apps/${segment(appId)}/window`, {
    schema: acceptedSchema,
    body: change,
    keepalive,
  });
}

export async function saveState(
  appId: string,
  state: Json,
  version: number | undefined,
  keepalive = false,
): Promise<{ version: number }> {
  return request('PUT', `/apps/${segment(appId)}/state`, {
    schema: acceptedSchema,
    body: state,
    query: { version },
    keepalive,
  });
}

export async function listManifests(): Promise<Manifest[]> {
  return (await request('GET', '/registry/apps', { schema: manifestsSchema })).apps;
}

export async function listServices(): Promise<Service[]> {
  return (await request('GET', '/registry/services', { schema: servicesSchema })).services;
}

export function getManifest(id: string): Promise<Manifest> {
  return request('GET', `/registry/apps/${segment(id)}`, { schema: manifestSchema });
}

/** Adds an app to the registry, or replaces it. */
export async function putManifest(draft: ManifestDraft): Promise<void> {
  const { id, ...body } = draft;
  await request('PUT', `/registry/apps/${segment(id)}`, { schema: nothing, body });
}

export async function removeManifest(id: string): Promise<void> {
  await request('DELETE', `/registry/apps/${segment(id)}`, { schema: nothing });
}

export async function listSessions(): Promise<Session[]> {
  return (await request('GET', '/sessions', { schema: sessionsSchema })).sessions;
}

export function saveSession(name: string, replace = false): Promise<Session> {
  return request('POST', '/sessions', {
    schema: sessionSchema,
    body: replace ? { name, replace } : { name },
  });
}

export async function deleteSession(id: string): Promise<void> {
  await request('DELETE', `/sessions/${segment(id)}`, { schema: nothing });
}

export function restoreSession(id: string): Promise<Restored> {
  return request('POST', `/sessions/${segment(id)}/restore`, { schema: restoredSchema });
}

/** The calls that wait for a right, the oldest first. */
export async function listRightRequests(): Promise<RightRequest[]> {
  return (await request('GET', '/requests', { schema: rightRequestsSchema })).requests;
}

/** Lets a call that waits go on, or has it refused. */
export async function answerRightRequest(id: number, answer: RightAnswer): Promise<void> {
  await request('POST', `/requests/${id}`, { schema: nothing, body: { answer } });
}

export function getSystem(): Promise<System> {
  return request('GET', '/system', { schema: systemSchema });
}

/** Signs this browser in with the token itself. */
export async function login(token: string): Promise<void> {
  await request('POST', '/login', { schema: nothing, headers: { authorization: `Bearer ${token}` } });
}

export async function logout(): Promise<void> {
  await request('POST', '/logout', { schema: nothing });
}
