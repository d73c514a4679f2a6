import { useCallback, useState } from 'react';

/** What is being written and not sent yet; a reload keeps it. */
export interface Draft {
  readonly kind: 'SQL' | 'TEXT';
  readonly text: string;
}

const EMPTY: Draft = { kind: 'SQL', text: '' };

export function useDraft(chatId: string): [Draft, (draft: Draft) => void] {
  const key = `replichat.draft.${chatId}`;
  const [draft, setDraft] = useState<Draft>(() => JSON.parse(sessionStorage.getItem(key) ?? 'null') ?? EMPTY);
  const keep = useCallback(
    (changed: Draft) => {
      sessionStorage.setItem(key, JSON.stringify(changed));
      setDraft(changed);
    },
    [key],
  );
  return [draft, keep];
}
