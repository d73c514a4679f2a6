import { useReactiveVar } from '@apollo/client/react';
import { Redirect, Route, Switch } from 'wouter';
import { connected } from '../api/socket.js';
import { tokenWanted } from '../api/token.js';
import { ChatPage } from '../chat/ChatPage.js';
import { StartPage } from '../start/StartPage.js';
import { Notice } from '../ui/Notice.js';
import { Sidebar } from './Sidebar.js';
import { TokenDialog } from './TokenDialog.js';
import './shell.css';

export function App() {
  const isConnected = useReactiveVar(connected);
  const isTokenWanted = useReactiveVar(tokenWanted);
  return (
    <div className="shell">
      <Sidebar />
      <Switch>
        <Route path="/">
          <StartPage />
        </Route>
        <Route path="/chats/:id/:view?">{({ id, view }) => <ChatPage key={id} chatId={id} view={view} />}</Route>
        <Route>
          <Redirect to="/" replace />
        </Route>
      </Switch>
      <div className="toasts" role="status">
        {!isConnected && <Notice kind="warning">The connection is lost. Trying again; nothing here is lost.</Notice>}
      </div>
      {isTokenWanted && <TokenDialog />}
    </div>
  );
}
