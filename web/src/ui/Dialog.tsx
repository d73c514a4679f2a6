import { type FormEvent, type ReactNode, useEffect, useId, useRef } from 'react';

interface DialogProps {
  title: string;
  /** What the button says that does it. */
  submit: string;
  danger?: boolean;
  onSubmit: () => void;
  /** Without it the dialog cannot be left undone. */
  onCancel?: () => void;
  children: ReactNode;
}

/** The browser's own modal dialog: it holds the focus, Escape closes it, and the focus goes back. */
export function Dialog({ title, submit, danger, onSubmit, onCancel, children }: DialogProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const heading = useId();
  useEffect(() => {
    const { current } = dialog;
    current?.showModal();
    return () => current?.close();
  }, []);
  const send = (event: FormEvent) => {
    event.preventDefault();
    onSubmit();
  };
  return (
    <dialog
      ref={dialog}
      className="dialog"
      aria-labelledby={heading}
      onCancel={(event) => {
        event.preventDefault();
        onCancel?.();
      }}
    >
      <form onSubmit={send}>
        <h2 id={heading}>{title}</h2>
        {children}
        <footer className="buttons">
          {onCancel && onCancel !== onSubmit && (
            <button type="button" onClick={onCancel}>
              Cancel
            </button>
          )}
          <button type="submit" className={danger ? 'danger' : 'primary'}>
            {submit}
          </button>
        </footer>
      </form>
    </dialog>
  );
}
