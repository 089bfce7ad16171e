import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { useAuth } from './api/auth';
import { TooltipProvider } from './components';
import { Login } from './login/Login';
import { Desktop } from './shell/Desktop';
import { Toasts } from './shell/Toasts';
import { applyTheme } from './theme';
import './styles/index.css';

applyTheme();

function Root() {
  const signedOut = useAuth((state) => state.signedOut);
  return (
    <TooltipProvider>
      {signedOut ? <Login /> : <Desktop />}
      <Toasts />
    </TooltipProvider>
  );
}

createRoot(document.getElementById('root') as HTMLElement).render(
  <StrictMode>
    <Root />
  </StrictMode>,
);
