import { useMutation } from '@apollo/client/react';
import { Menu, Pencil, Trash2 } from 'lucide-react';
import { useState } from 'react';
import { Link, useLocation } from 'wouter';
import { ChatsDocument } from '../shell/operations.js';
import { Dialog } from '../ui/Dialog.js';
import { type Chat, DeleteChatDocument, RenameChatDocument } from './operations.js';

const VIEWS = [
  ['conversation', 'Conversation'],
  ['database', 'Database'],
  ['diagram', 'Diagram'],
] as const;

export function ChatHeader({ chat, view }: { chat: Chat; view: string }) {
  const [dialog, setDialog] = useState<'rename' | 'delete'>();
  const close = () => setDialog(undefined);
  return (
    <header className="chat-header">
      <Link href="/" className="quiet to-chats" aria-label="All chats">
        <Menu aria-hidden size={18} />
      </Link>
      <div className="title">
        <h1 className="ellipsis">{chat.name}</h1>
        <p className="ellipsis muted">
          {chat.user}@{chat.host}:{chat.port}/{chat.database}
        </p>
      </div>
      <nav aria-label="Views">
        {VIEWS.map(([name, label]) => (
          <Link
            key={name}
            data-view={name}
            href={name === 'conversation' ? `/chats/${chat.id}` : `/chats/${chat.id}/${name}`}
            aria-current={view === name ? 'page' : undefined}
          >
            {label}
          </Link>
        ))}
      </nav>
      <button
        type="button"
        className="quiet"
        aria-label="Rename the chat"
        title="Rename"
        onClick={() => setDialog('rename')}
      >
        <Pencil aria-hidden size={15} />
      </button>
      <button
        type="button"
        className="quiet"
        aria-label="Delete the chat"
        title="Delete"
        onClick={() => setDialog('delete')}
      >
        <Trash2 aria-hidden size={15} />
      </button>
      {dialog === 'rename' && <RenameDialog chat={chat} onClose={close} />}
      {dialog === 'delete' && <DeleteDialog chat={chat} onClose={close} />}
    </header>
  );
}

function RenameDialog({ chat, onClose }: { chat: Chat; onClose: () => void }) {
  const [name, setName] = useState(chat.name);
  const [rename] = useMutation(RenameChatDocument);
  const submit = () => {
    void rename({ variables: { chatId: chat.id, name } }).then(onClose, onClose);
  };
  return (
    <Dialog title="Rename the chat" submit="Rename" onSubmit={submit} onCancel={onClose}>
      <label className="field">
        <span>Name</span>
        <input required maxLength={200} value={name} onChange={(event) => setName(event.target.value)} />
      </label>
    </Dialog>
  );
}

function DeleteDialog({ chat, onClose }: { chat: Chat; onClose: () => void }) {
  const [, navigate] = useLocation();
  const [remove] = useMutation(DeleteChatDocument, { refetchQueries: [ChatsDocument] });
  const submit = () => {
    void remove({ variables: { id: chat.id } }).then(() => navigate('/'), onClose);
  };
  return (
    <Dialog title={`Delete “${chat.name}”?`} submit="Delete the chat" danger onSubmit={submit} onCancel={onClose}>
      <p>Its messages and its replica go with it. The source database is not touched.</p>
    </Dialog>
  );
}
