import { useMutation } from '@apollo/client/react';
import type { CreateChatInput } from '../api/generated/graphql.js';
import { ChatsDocument } from '../shell/Sidebar.js';
import { CreateChatDocument } from './operations.js';

/** Returns the id of the new chat, which is then in the list. */
export function useCreateChat() {
  const [mutate, { loading, error }] = useMutation(CreateChatDocument, { refetchQueries: [ChatsDocument] });
  const create = async (input: CreateChatInput): Promise<string | undefined> => {
    const { data } = await mutate({ variables: { input } }).catch(() => ({ data: undefined }));
    return data?.createChat.id;
  };
  return { create, loading, error };
}
