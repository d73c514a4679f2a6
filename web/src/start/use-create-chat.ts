import { useMutation } from '@apollo/client/react';
import { useClientId } from '../api/client-id.js';
import type { CreateChatInput } from '../api/generated/graphql.js';
import { ChatsDocument } from '../shell/operations.js';
import { CreateChatDocument } from './operations.js';

/** Returns the id of the new chat, which is then in the list. */
export function useCreateChat() {
  const [mutate, { loading, error }] = useMutation(CreateChatDocument, { refetchQueries: [ChatsDocument] });
  const { idOf, arrived } = useClientId();
  const create = async (input: CreateChatInput): Promise<string | undefined> => {
    const clientId = idOf(JSON.stringify(input));
    const { data } = await mutate({ variables: { input: { ...input, clientId } } }).catch(() => ({ data: undefined }));
    if (data) arrived();
    return data?.createChat.id;
  };
  return { create, loading, error };
}
