import { useQuery } from '@apollo/client/react';
import { BookOpen, Database, Monitor, Moon, Plus, Sun } from 'lucide-react';
import { useState } from 'react';
import { Link, useLocation } from 'wouter';
import { useOnReconnect, useOnReturn } from '../api/occasions.js';
import { problemOf } from '../api/problem.js';
import { StateDot } from '../replica/StateDot.js';
import { ProblemNotice } from '../ui/ProblemNotice.js';
import { ChatsDocument } from './operations.js';
import { applyTheme, chosenTheme, nextTheme } from './theme.js';

export function Sidebar() {
  const { data, error, fetchMore, refetch } = useQuery(ChatsDocument);
  const [path] = useLocation();
  useOnReconnect(refetch);
  useOnReturn(refetch);
  const { edges = [], pageInfo } = data?.chats ?? {};
  return (
    <nav className="sidebar" aria-label="Chats" data-open={path === '/'}>
      <header>
        <Link href="/" className="brand">
          <Database aria-hidden size={18} />
          Replichat
        </Link>
        <ThemeButton />
      </header>
      <Link href="/" className="new-chat" aria-current={path === '/' ? 'page' : undefined}>
        <Plus aria-hidden size={16} />
        New chat
      </Link>
      <ul className="chats">
        {edges.map(({ node: { id, name, replica } }) => (
          <li key={id}>
            <Link href={`/chats/${id}`} aria-current={path.startsWith(`/chats/${id}`) ? 'page' : undefined}>
              <StateDot replica={replica} />
              <span className="ellipsis">{name}</span>
            </Link>
          </li>
        ))}
        {pageInfo?.hasNextPage && (
          <li>
            <button type="button" onClick={() => fetchMore({ variables: { after: pageInfo.endCursor } })}>
              Show more
            </button>
          </li>
        )}
      </ul>
      {error && <ProblemNotice problem={problemOf(error)} />}
      <footer>
        <a href="/graphiql">
          <BookOpen aria-hidden size={15} />
          The API in GraphiQL
        </a>
      </footer>
    </nav>
  );
}

const THEME_ICONS = { system: Monitor, light: Sun, dark: Moon };

function ThemeButton() {
  const [theme, setTheme] = useState(chosenTheme);
  const Icon = THEME_ICONS[theme];
  const change = () => {
    applyTheme(nextTheme(theme));
    setTheme(nextTheme(theme));
  };
  return (
    <button
      type="button"
      className="quiet"
      aria-label={`Colours: ${theme}`}
      title={`Colours: ${theme}`}
      onClick={change}
    >
      <Icon aria-hidden size={16} />
    </button>
  );
}
