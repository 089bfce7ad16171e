import './zod';
import { lazy, StrictMode, Suspense } from 'react';
import { createRoot } from 'react-dom/client';
import { useAuth } from './api/auth';
import { FLOATING, TooltipProvider } from './components';
import { Desktop } from './shell/Desktop';
import { Toasts } from './shell/Toasts';
import { applyTheme } from './theme';
import './styles/index.css';

const Login = lazy(() => import('./login/Login'));

applyTheme();

function Root() {
  const signedOut = useAuth((state) => state.signedOut);
  return (
    <TooltipProvider>
      {signedOut ? (
        <Suspense>
          <Login />
        </Suspense>
      ) : (
        <Desktop />
      )}
      <Toasts />
      <aside id={FLOATING} aria-label="Menus and tips" />
    </TooltipProvider>
  );
}

createRoot(document.getElementById('root') as HTMLElement).render(
  <StrictMode>
    <Root />
  </StrictMode>,
);
