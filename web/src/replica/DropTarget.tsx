import { useApolloClient } from '@apollo/client/react';
import { FileUp } from 'lucide-react';
import { type DragEvent, type ReactNode, useRef, useState } from 'react';
import { startUpload } from './uploads.js';

/** A file may be dropped anywhere on a chat. What else is dragged, words for the editor say, goes its own way. */
export function DropTarget({ chatId, children }: { chatId: string; children: ReactNode }) {
  const client = useApolloClient();
  const depth = useRef(0);
  const [over, setOver] = useState(false);
  const move = (change: number) => (event: DragEvent) => {
    if (!carriesFiles(event)) return;
    depth.current += change;
    setOver(depth.current > 0);
  };
  const drop = (event: DragEvent) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    depth.current = 0;
    setOver(false);
    const file = event.dataTransfer.files[0];
    if (file) void startUpload(client, chatId, file);
  };
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: the button to choose a file does the same
    <div
      className="drop-target"
      onDragEnter={move(1)}
      onDragLeave={move(-1)}
      onDragOver={(event) => carriesFiles(event) && event.preventDefault()}
      onDrop={drop}
    >
      {children}
      {over && (
        <div className="drop-veil" aria-hidden>
          <FileUp size={32} />
          Drop the dump
        </div>
      )}
    </div>
  );
}

function carriesFiles({ dataTransfer }: DragEvent): boolean {
  return dataTransfer.types.includes('Files');
}
