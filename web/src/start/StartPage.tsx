import { useApolloClient } from '@apollo/client/react';
import { FlaskConical } from 'lucide-react';
import { useState } from 'react';
import { useLocation } from 'wouter';
import librarySql from '../../../examples/library.sql?url';
import { type Problem, problemOf } from '../api/problem.js';
import { startUpload } from '../replica/uploads.js';
import { ProblemNotice } from '../ui/ProblemNotice.js';
import { ChatForm } from './ChatForm.js';
import { useCreateChat } from './use-create-chat.js';
import './start.css';

export function StartPage() {
  return (
    <main className="start">
      <header>
        <h1>Chat with a copy of your database</h1>
        <p>
          Drop a <code>pg_dump</code> file on a chat, and it becomes a private, disposable replica within seconds.
          People and language models query the replica; production is never touched.
        </p>
      </header>
      <Sample />
      <ChatForm />
    </main>
  );
}

const SAMPLE = {
  name: 'Library',
  host: 'db.example.com',
  user: 'librarian',
  password: 'secret',
  database: 'library',
};

/** The project's own sample database, which the server brings along. */
function Sample() {
  const client = useApolloClient();
  const [, navigate] = useLocation();
  const { create, loading, error } = useCreateChat();
  const [problem, setProblem] = useState<Problem>();
  const start = async () => {
    try {
      const response = await fetch(librarySql);
      if (!response.ok) throw new Error(`${response.status} ${response.statusText}`);
      const file = new File([await response.blob()], 'library.sql');
      const chatId = await create(SAMPLE);
      if (!chatId) return;
      startUpload(client, chatId, file);
      navigate(`/chats/${chatId}`);
    } catch (reason) {
      setProblem(problemOf(reason));
    }
  };
  return (
    <section className="card sample">
      <div>
        <h2>New here?</h2>
        <p>A town library with its books, members and four years of loans.</p>
      </div>
      <button type="button" className="primary" disabled={loading} onClick={start}>
        <FlaskConical aria-hidden size={16} />
        Try the sample database
      </button>
      <ProblemNotice problem={error ? problemOf(error) : problem} />
    </section>
  );
}
