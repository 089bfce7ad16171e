/** The built-in apps that may act as the system itself. */
const AS_SYSTEM: ReadonlySet<string> = new Set(['monitor', 'settings']);

export function actsAsSystem(builtin: string | null): boolean {
  return builtin !== null && AS_SYSTEM.has(builtin);
}
