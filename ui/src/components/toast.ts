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

interface ToastStore {
  toasts: Toast[];
  dismiss: (id: number) => void;
}

let last = 0;

export const useToasts = create<ToastStore>()((set) => ({
  toasts: [],
  dismiss: (id) => set((state) => ({ toasts: state.toasts.filter((toast) => toast.id !== id) })),
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
  useToasts.setState(({ toasts }) => ({
    toasts: [...toasts.filter((other) => other.title !== next.title), next].slice(-4),
  }));
  return last;
}
