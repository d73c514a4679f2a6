import { useApolloClient } from '@apollo/client/react';
import { FileUp } from 'lucide-react';
import { type ChangeEvent, useRef } from 'react';
import type { OnError } from '../api/generated/graphql.js';
import { startUpload } from './uploads.js';

interface FileButtonProps {
  chatId: string;
  label: string;
  primary?: boolean;
  onError?: OnError;
}

export function FileButton({ chatId, label, primary, onError }: FileButtonProps) {
  const client = useApolloClient();
  const input = useRef<HTMLInputElement>(null);
  const choose = ({ target }: ChangeEvent<HTMLInputElement>) => {
    const file = target.files?.[0];
    // The same file may be chosen again.
    target.value = '';
    if (file) void startUpload(client, chatId, file, onError);
  };
  return (
    <>
      <button type="button" className={primary ? 'primary' : ''} onClick={() => input.current?.click()}>
        <FileUp aria-hidden size={15} />
        {label}
      </button>
      <input ref={input} type="file" hidden aria-label={label} onChange={choose} />
    </>
  );
}
