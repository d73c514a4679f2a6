import { makeVar } from '@apollo/client';
import { useApolloClient } from '@apollo/client/react';
import { useRef, useState } from 'react';
import type { QueryAccess, RunQueryMutation } from '../api/generated/graphql.js';
import { type Problem, problemOf } from '../api/problem.js';
import { refresh } from '../api/refresh.js';
import { ChatDocument } from '../chat/operations.js';
import { TablesDocument } from '../database/operations.js';
import { RunQueryDocument } from './operations.js';

export type QueryResult = RunQueryMutation['runQuery'];

const KEPT_RESULTS = 20;

/** Whole results of this tab's latest queries, by their table message, which may hold fewer rows. */
export const results = makeVar<ReadonlyMap<string, QueryResult>>(new Map());

export interface QueryOptions {
  readonly access: QueryAccess;
  readonly maxRows: number;
}

export function useRunQuery(chatId: string) {
  const client = useApolloClient();
  const [running, setRunning] = useState(false);
  const [problem, setProblem] = useState<Problem>();
  const controller = useRef<AbortController>(undefined);

  const run = async (sql: string, options: QueryOptions): Promise<void> => {
    controller.current = new AbortController();
    const { signal } = controller.current;
    setRunning(true);
    setProblem(undefined);
    try {
      const { data } = await client.mutate({
        mutation: RunQueryDocument,
        variables: { input: { chatId, sql, ...options } },
        fetchPolicy: 'no-cache',
        context: { fetchOptions: { signal } },
      });
      if (data) keep(data.runQuery);
      void refresh(client, ChatDocument, { id: chatId });
      if (options.access === 'READ_WRITE') void refresh(client, TablesDocument, { chatId });
    } catch (error) {
      if (!signal.aborted) setProblem(problemOf(error));
    } finally {
      setRunning(false);
    }
  };
  const stop = () => controller.current?.abort();
  return { run, stop, running, problem, clearProblem: () => setProblem(undefined) };
}

function keep(result: QueryResult): void {
  const id = result.messages.at(-1)?.id;
  if (id) results(new Map([...[...results()].slice(1 - KEPT_RESULTS), [id, result]]));
}
