import { useApolloClient, useQuery } from '@apollo/client/react';
import { useCallback, useEffect, useState } from 'react';
import { useLocation } from 'wouter';
import { useOnReconnect, useOnReturn } from '../api/occasions.js';
import { problemOf } from '../api/problem.js';
import { refresh } from '../api/refresh.js';
import { Composer } from '../conversation/Composer.js';
import { Conversation } from '../conversation/Conversation.js';
import { useDraft } from '../conversation/use-draft.js';
import { DiagramView } from '../database/DiagramView.js';
import { TableList } from '../database/TableList.js';
import { DropTarget } from '../replica/DropTarget.js';
import { ReplicaPanel } from '../replica/ReplicaPanel.js';
import { ReplicationCard } from '../replica/ReplicationCard.js';
import { useReplication } from '../replica/use-replication.js';
import { ProblemNotice } from '../ui/ProblemNotice.js';
import { ChatHeader } from './ChatHeader.js';
import { type Chat, ChatDocument } from './operations.js';
import './chat.css';

export function ChatPage({ chatId, view = 'conversation' }: { chatId: string; view?: string }) {
  const client = useApolloClient();
  const { data, error } = useQuery(ChatDocument, { variables: { id: chatId } });
  useReplication(chatId);
  useTitle(data?.chat?.name);
  const ask = () => refresh(client, ChatDocument, { id: chatId });
  useOnReconnect(ask);
  useOnReturn(ask);
  if (!data) return <main className="chat">{error && <ProblemNotice problem={problemOf(error)} />}</main>;
  if (!data.chat) return <GoneChat />;
  return <LivingChat chat={data.chat} view={view} />;
}

function LivingChat({ chat, view }: { chat: Chat; view: string }) {
  const [draft, setDraft] = useDraft(chat.id);
  const [wantsFocus, setWantsFocus] = useState(false);
  const [, navigate] = useLocation();
  const ask = useCallback(
    (sql: string) => {
      setDraft({ kind: 'SQL', text: sql });
      if (view !== 'conversation') navigate(`/chats/${chat.id}`);
      setWantsFocus(true);
    },
    [setDraft, view, navigate, chat.id],
  );
  return (
    <DropTarget chatId={chat.id}>
      <div className="chat" data-view={view}>
        <ChatHeader chat={chat} view={view} />
        <main>
          <ReplicationCard chat={chat} />
          {view === 'diagram' ? (
            <DiagramView chat={chat} />
          ) : (
            <>
              <Conversation chat={chat} onEdit={ask} />
              <Composer
                chat={chat}
                draft={draft}
                onDraft={setDraft}
                wantsFocus={wantsFocus}
                onFocus={() => setWantsFocus(false)}
              />
            </>
          )}
        </main>
        <aside aria-label="Database">
          <ReplicaPanel chat={chat} />
          <TableList chat={chat} onAsk={ask} />
        </aside>
      </div>
    </DropTarget>
  );
}

function useTitle(name: string | undefined): void {
  useEffect(() => {
    document.title = name ? `${name} · Replichat` : 'Replichat';
    return () => {
      document.title = 'Replichat';
    };
  }, [name]);
}

function GoneChat() {
  return (
    <main className="empty">
      <h1>This chat is gone</h1>
      <p>It was deleted, or the server has been restarted and keeps its chats in memory.</p>
      <a className="button primary" href="/">
        Start page
      </a>
    </main>
  );
}
