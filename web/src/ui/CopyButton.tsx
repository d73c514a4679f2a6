import { Check, Copy } from 'lucide-react';
import { useState } from 'react';

const SHOWN_MS = 1_500;

export function CopyButton({ text, label }: { text: string; label: string }) {
  const [copied, setCopied] = useState(false);
  const copy = async () => {
    await navigator.clipboard.writeText(text);
    setCopied(true);
    setTimeout(() => setCopied(false), SHOWN_MS);
  };
  return (
    <button type="button" className="quiet" title={label} aria-label={copied ? 'Copied' : label} onClick={copy}>
      {copied ? <Check aria-hidden size={15} /> : <Copy aria-hidden size={15} />}
    </button>
  );
}
