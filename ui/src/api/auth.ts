import { create } from 'zustand';

interface Auth {
  /** Set once the server has refused this browser: the desktop gives way to the login page. */
  signedOut: boolean;
}

export const useAuth = create<Auth>(() => ({ signedOut: false }));

export function markSignedOut(): void {
  if (!useAuth.getState().signedOut) useAuth.setState({ signedOut: true });
}

export function markSignedIn(): void {
  useAuth.setState({ signedOut: false });
}
