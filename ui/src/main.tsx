import { createRoot } from 'react-dom/client';
import './styles/index.css';

createRoot(document.getElementById('root') as HTMLElement).render(<p>uOS</p>);
