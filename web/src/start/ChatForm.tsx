import { type FormEvent, useId, useState } from 'react';
import { useLocation } from 'wouter';
import { problemOf } from '../api/problem.js';
import { ProblemNotice } from '../ui/ProblemNotice.js';
import { type Connection, parseConnectionUri } from './connection-uri.js';
import { PgDumpCommand } from './PgDumpCommand.js';
import { useCreateChat } from './use-create-chat.js';

const EMPTY: Connection & { name: string } = { name: '', host: '', port: 5432, user: '', password: '', database: '' };

/** Nothing connects to the source database: its credentials name the replica's role and database. */
export function ChatForm() {
  const [, navigate] = useLocation();
  const [uri, setUri] = useState('');
  const [values, setValues] = useState(EMPTY);
  const { create, loading, error } = useCreateChat();
  const pasted = parseConnectionUri(uri);

  const paste = (text: string) => {
    setUri(text);
    const parts = parseConnectionUri(text);
    if (parts) setValues((earlier) => ({ ...earlier, ...parts, name: earlier.name || parts.database || '' }));
  };
  const change = (field: keyof typeof EMPTY) => (value: string) =>
    setValues((earlier) => ({ ...earlier, [field]: field === 'port' ? Number(value) : value }));
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    const chatId = await create({ ...values, name: values.name || values.database });
    if (chatId) navigate(`/chats/${chatId}`);
  };

  return (
    <form className="card chat-form" onSubmit={submit}>
      <h2>A chat about your database</h2>
      <p className="muted">Nothing connects to it: the replica's role and database get these names.</p>
      <Field
        label="Connection URI"
        hint={uri !== '' && !pasted ? 'No such URI; fill in the fields below instead.' : 'Fills in the fields below.'}
        value={uri}
        placeholder="postgres://user:password@host:5432/database"
        onChange={paste}
      />
      <div className="fields">
        <Field label="Host" required value={values.host} onChange={change('host')} />
        <Field label="Port" required type="number" value={String(values.port)} onChange={change('port')} />
        <Field label="User" required value={values.user} onChange={change('user')} />
        <Field label="Password" type="password" value={values.password} onChange={change('password')} />
        <Field label="Database" required value={values.database} onChange={change('database')} />
        <Field label="Name of the chat" placeholder={values.database} value={values.name} onChange={change('name')} />
      </div>
      <PgDumpCommand connection={values} />
      <ProblemNotice problem={error && problemOf(error)} />
      <div className="buttons">
        <button type="submit" className="primary" disabled={loading}>
          Create the chat
        </button>
      </div>
    </form>
  );
}

interface FieldProps {
  label: string;
  value: string;
  onChange: (value: string) => void;
  hint?: string;
  type?: 'text' | 'number' | 'password';
  required?: boolean;
  placeholder?: string;
}

function Field({ label, hint, value, onChange, type = 'text', ...rest }: FieldProps) {
  const id = useId();
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      <input
        id={id}
        type={type}
        autoComplete="off"
        spellCheck={false}
        aria-describedby={hint && `${id}-hint`}
        value={value}
        onChange={(event) => onChange(event.target.value)}
        {...(type === 'number' && { min: 1, max: 65_535 })}
        {...rest}
      />
      {hint && <small id={`${id}-hint`}>{hint}</small>}
    </div>
  );
}
