import { lazy, Suspense } from 'react';
import { problemOf } from '../api/problem.js';
import type { Chat } from '../chat/operations.js';
import { ProblemNotice } from '../ui/ProblemNotice.js';
import { useTables } from './use-tables.js';

const Diagram = lazy(() => import('./Diagram.js'));

/** The picture comes when the tables are known: it fits itself to what there is. */
export function DiagramView({ chat }: { chat: Chat }) {
  const { tables, error } = useTables(chat);
  if (error) return <ProblemNotice problem={problemOf(error)} />;
  if (!chat.replica?.queryable) return <p className="empty muted">There is no replica to draw yet.</p>;
  return (
    <Suspense fallback={<div className="diagram-place" />}>
      {tables.length > 0 ? <Diagram tables={tables} /> : <div className="diagram-place" />}
    </Suspense>
  );
}
