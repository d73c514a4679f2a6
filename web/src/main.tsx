import './ui/base.css';
import { ApolloProvider } from '@apollo/client/react';
import { createRoot } from 'react-dom/client';
import { createApolloClient } from './api/client.js';
import { App } from './shell/App.js';
import { applyTheme } from './shell/theme.js';

applyTheme();
createRoot(document.getElementById('console') as HTMLElement).render(
  <ApolloProvider client={createApolloClient()}>
    <App />
  </ApolloProvider>,
);
