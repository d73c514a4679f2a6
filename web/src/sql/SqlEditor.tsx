import {
  acceptCompletion,
  autocompletion,
  closeBrackets,
  closeBracketsKeymap,
  closeCompletion,
  completionKeymap,
} from '@codemirror/autocomplete';
import { defaultKeymap, history, historyKeymap } from '@codemirror/commands';
import { PostgreSQL, type SQLNamespace, sql } from '@codemirror/lang-sql';
import { bracketMatching, syntaxHighlighting } from '@codemirror/language';
import { lintGutter, setDiagnostics } from '@codemirror/lint';
import { Compartment, EditorState, Prec } from '@codemirror/state';
import { drawSelection, EditorView, keymap, placeholder } from '@codemirror/view';
import { classHighlighter } from '@lezer/highlight';
import { useEffect, useRef } from 'react';
import type { Problem } from '../api/problem.js';

export interface SqlEditorProps {
  value: string;
  onChange: (value: string) => void;
  /** With what is written. */
  onRun: (sql: string) => void;
  /** For completion: tables with their columns. */
  schema: SQLNamespace;
  problem?: Problem;
  /** Whether the focus should come here, which `onFocus` then takes back. */
  wantsFocus: boolean;
  onFocus: () => void;
}

export default function SqlEditor({ value, onChange, onRun, schema, problem, wantsFocus, onFocus }: SqlEditorProps) {
  const parent = useRef<HTMLDivElement>(null);
  const view = useRef<EditorView>(undefined);
  const language = useRef(new Compartment());
  const handlers = useRef({ onChange, onRun, onFocus });
  handlers.current = { onChange, onRun, onFocus };
  // The effects after the first bring them up to date.
  const initial = useRef({ value, schema });

  useEffect(() => {
    const run = (editor: EditorView) => {
      closeCompletion(editor);
      // What was typed just now has not been rendered yet.
      handlers.current.onRun(editor.state.doc.toString());
      return true;
    };
    const editor = new EditorView({
      parent: parent.current as HTMLDivElement,
      state: EditorState.create({
        doc: initial.current.value,
        extensions: [
          Prec.highest(keymap.of([{ key: 'Mod-Enter', run }])),
          history(),
          drawSelection(),
          bracketMatching(),
          closeBrackets(),
          autocompletion({ icons: false }),
          syntaxHighlighting(classHighlighter),
          lintGutter(),
          language.current.of(languageOf(initial.current.schema)),
          placeholder('SELECT … (Ctrl+Enter runs it)'),
          EditorView.lineWrapping,
          EditorView.contentAttributes.of({ 'aria-label': 'SQL' }),
          EditorView.updateListener.of(({ docChanged, state }) => {
            if (docChanged) handlers.current.onChange(state.doc.toString());
          }),
          keymap.of([
            { key: 'Tab', run: acceptCompletion },
            ...closeBracketsKeymap,
            ...defaultKeymap,
            ...historyKeymap,
            ...completionKeymap,
          ]),
        ],
      }),
    });
    view.current = editor;
    return () => editor.destroy();
  }, []);

  useEffect(() => {
    const { current: editor } = view;
    const doc = editor?.state.doc.toString();
    if (!editor || doc === value) return;
    editor.dispatch({
      changes: { from: 0, to: editor.state.doc.length, insert: value },
      selection: { anchor: value.length },
    });
  }, [value]);

  useEffect(() => {
    view.current?.dispatch({ effects: language.current.reconfigure(languageOf(schema)) });
  }, [schema]);

  useEffect(() => {
    const { current: editor } = view;
    if (editor) editor.dispatch(setDiagnostics(editor.state, diagnosticsOf(problem, editor.state)));
  }, [problem]);

  useEffect(() => {
    if (!wantsFocus) return;
    view.current?.focus();
    handlers.current.onFocus();
  }, [wantsFocus]);

  return <div ref={parent} className="sql-editor" />;
}

function languageOf(schema: SQLNamespace) {
  return sql({ dialect: PostgreSQL, schema, defaultSchema: 'public', upperCaseKeywords: true });
}

/** PostgreSQL counts characters, JavaScript their UTF-16 units. */
function diagnosticsOf(problem: Problem | undefined, { doc }: EditorState) {
  if (!problem?.position) return [];
  const text = doc.toString();
  const from = Math.min([...text].slice(0, problem.position - 1).join('').length, text.length);
  const word = /^(?:\w+|"[^"]*"|'[^']*'|.)/su.exec(text.slice(from))?.[0] ?? '';
  return [{ from, to: from + word.length, severity: 'error' as const, message: problem.message }];
}
