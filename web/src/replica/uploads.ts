import { type ApolloClient, makeVar } from '@apollo/client';
import type { OnError } from '../api/generated/graphql.js';
import { type Problem, problemOf } from '../api/problem.js';
import { UploadReplicaDocument } from './operations.js';

/** A file that this tab is sending, or could not send. What has arrived of it, the replication's status says. */
export interface Upload {
  readonly file: File;
  readonly sending: boolean;
  readonly problem?: Problem;
  /** Stops sending. */
  readonly abort: () => void;
}

/** By chat. */
export const uploads = makeVar<Readonly<Record<string, Upload>>>({});

export async function startUpload(
  client: ApolloClient,
  chatId: string,
  file: File,
  onError: OnError = 'STOP',
): Promise<void> {
  // The one that is being sent can be seen, and cancelled.
  if (uploads()[chatId]?.sending) return;
  const controller = new AbortController();
  const abort = () => controller.abort();
  note(chatId, { file, sending: true, abort });
  try {
    await client.mutate({
      mutation: UploadReplicaDocument,
      variables: { input: { chatId, file, onError } },
      context: { fetchOptions: { signal: controller.signal } },
    });
    forget(chatId);
  } catch (error) {
    if (controller.signal.aborted) forget(chatId);
    else note(chatId, { file, sending: false, problem: problemOf(error), abort });
  }
}

export function forget(chatId: string): void {
  const { [chatId]: _gone, ...others } = uploads();
  uploads(others);
}

function note(chatId: string, upload: Upload): void {
  uploads({ ...uploads(), [chatId]: upload });
}

/** A page that is left takes the rest of a file with it. */
addEventListener('beforeunload', (event) => {
  if (Object.values(uploads()).some(({ sending }) => sending)) event.preventDefault();
});
