import { useMutation } from '@apollo/client/react';
import { useClientId } from '../api/client-id.js';
import type { MessageContentInput } from '../api/generated/graphql.js';
import { problemOf } from '../api/problem.js';
import { PostMessageDocument } from './operations.js';

/** Posts once, however often it is tried. */
export function usePostMessage(chatId: string) {
  const [mutate, { loading, error }] = useMutation(PostMessageDocument);
  const { idOf, arrived } = useClientId();
  const post = async (content: MessageContentInput): Promise<boolean> => {
    const clientId = idOf(JSON.stringify(content));
    const sent = await mutate({ variables: { input: { chatId, role: 'USER', content, clientId } } }).catch(
      () => undefined,
    );
    if (sent) arrived();
    return sent !== undefined;
  };
  return { post, posting: loading, problem: error && problemOf(error) };
}
