import { create } from 'zustand';

export type ToastTone = 'info' | 'success' | 'warning' | 'danger';

export interface Toast {
  id: number;
  tone: ToastTone;
  title: string;
  hint?: string;
  action?: { label: string; run: () => void };
  /** 0 stays until it is dismissed. */
  ms: number;
}

/** What was said, for whoever was not looking. What could be done about it then may be no longer possible. */
export type Notice = Pick<Toast, 'id' | 'tone' | 'title' | 'hint'> & { at_us: number };

interface ToastStore {
  toasts: Toast[];
  /** The newest first, at most 50. */
  notices: Notice[];
  /** The newest notice that was looked at. */
  seen: number;
  dismiss: (id: number) => void;
  markSeen: () => void;
  clearNotices: () => void;
}

const KEPT = 50;
let last = 0;

export const useToasts = create<ToastStore>()((set) => ({
  toasts: [],
  notices: [],
  seen: 0,
  dismiss: (id) => set((state) => ({ toasts: state.toasts.filter((toast) => toast.id !== id) })),
  markSeen: () => set({ seen: last }),
  clearNotices: () => set({ notices: [] }),
}));

/** Says something once. The same words again replace what they said before. */
export function toast(input: Partial<Omit<Toast, 'id'>> & { title: string }): number {
  last += 1;
  const next: Toast = {
    tone: 'info',
    ms: input.action || input.tone === 'danger' ? 8000 : 4500,
    ...input,
    id: last,
  };
  const { id, tone, title, hint } = next;
  const notice: Notice = { id, tone, title, ...(hint ? { hint } : {}), at_us: Date.now() * 1000 };
  useToasts.setState(({ toasts, notices }) => ({
    toasts: [...toasts.filter((other) => other.title !== next.title), next].slice(-4),
    notices: [notice, ...notices].slice(0, KEPT),
  }));
  return last;
}
