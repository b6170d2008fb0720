import { createRoot } from 'react-dom/client';
// Before GraphiQL: the editor's workers come from our own bundle.
import 'graphiql/setup-workers/vite';
import 'graphiql/style.css';
import './page.css';
import { Page } from './page.jsx';

createRoot(document.getElementById('root')).render(<Page />);
