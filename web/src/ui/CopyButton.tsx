import { Check, Copy } from 'lucide-react';
import { type ReactNode, useState } from 'react';

const SHOWN_MS = 1_500;

interface CopyButtonProps {
  /** May be made when it is wanted. */
  text: string | (() => string | Promise<string>);
  label: string;
  children?: ReactNode;
}

export function CopyButton({ text, label, children }: CopyButtonProps) {
  const [copied, setCopied] = useState(false);
  const onClick = async () => {
    await copy(typeof text === 'string' ? text : await text());
    setCopied(true);
    setTimeout(() => setCopied(false), SHOWN_MS);
  };
  return (
    <button type="button" className="quiet" title={label} aria-label={copied ? 'Copied' : label} onClick={onClick}>
      {copied ? <Check aria-hidden size={15} /> : <Copy aria-hidden size={15} />}
      {children}
    </button>
  );
}

/** Pages of plain http: on another host have no clipboard object. */
async function copy(text: string): Promise<void> {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const area = document.createElement('textarea');
  area.value = text;
  document.body.append(area);
  area.select();
  document.execCommand('copy');
  area.remove();
}
