const { React, ReactDOM, GraphiQL, graphqlWs } = window;
const endpoint = new URL('/graphql', location.href);
const chatSelect = document.getElementById('chat');
const fileInput = document.getElementById('file');
const state = document.getElementById('state');

/** As of the last operation: the list of chats is asked for with the same ones. */
let sentHeaders = {};

/** GraphiQL's fetcher: subscriptions over WebSocket, a chosen file as a multipart request, all else as JSON. */
async function fetcher(given, { headers = {} } = {}) {
  const operation = operationOf(given);
  const params = { ...given, operationName: operation?.name?.value, variables: withChat(given.variables) };
  const hasNewHeaders = JSON.stringify(headers) !== JSON.stringify(sentHeaders);
  sentHeaders = headers;
  if (hasNewHeaders) listChats().catch(tell);
  if (operation?.operation === 'subscription') return subscribe(params, headers);
  const path = uploadPath(params.variables, operation);
  const result = path ? await sendFile(params, path, headers) : await sendJson(params, headers);
  if (operation?.operation === 'mutation') await listChats(JSON.stringify(result)).catch(tell);
  return result;
}

/** The one to run. Right after a change of tabs GraphiQL still gives the name of the other tab's. */
function operationOf({ query, operationName }) {
  try {
    const operations = GraphiQL.GraphQL.parse(query).definitions.filter(({ kind }) => kind === 'OperationDefinition');
    return operations.find(({ name }) => name?.value === operationName) ?? operations[0];
  } catch {
    return undefined; // A syntax error: the server says where.
  }
}

/** On a socket of its own, which lets in whom the headers let in. */
function subscribe(params, headers) {
  const url = endpoint.href.replace(/^http/, 'ws');
  const socket = graphqlWs.createClient({ url, connectionParams: headers, retryAttempts: 0 });
  return {
    subscribe: (sink) => ({
      unsubscribe: socket.subscribe(params, { ...sink, error: (e) => sink.error(readable(e)) }),
    }),
  };
}

/** graphql-ws reports a lost connection as a CloseEvent, which prints as {}. */
function readable(error) {
  return error instanceof CloseEvent ? new Error(`WebSocket closed: ${error.code} ${error.reason}`) : error;
}

function sendJson(params, headers) {
  return post(JSON.stringify(params), { ...headers, 'content-type': 'application/json' });
}

/** https://github.com/jaydenseric/graphql-multipart-request-spec */
async function sendFile(params, path, headers) {
  const file = fileInput.files[0];
  if (!file) return { errors: [{ message: 'Choose a file first, at the top of the page.' }] };
  const form = new FormData();
  form.append('operations', JSON.stringify({ ...params, variables: withNull(params.variables, path) }));
  form.append('map', JSON.stringify({ 0: [['variables', ...path].join('.')] }));
  form.append('0', file);
  state.value = `Uploading ${file.name}…`;
  try {
    return await post(form, { ...headers, 'apollo-require-preflight': 'true' });
  } finally {
    state.value = '';
  }
}

async function post(body, headers) {
  const response = await fetch(endpoint, { method: 'POST', body, headers });
  return response.json();
}

/** Where the first empty variable of type Upload is or, inside of an input object, the first empty "file". */
function uploadPath(variables, operation) {
  const isUpload = ({ type }) => (type.kind === 'NonNullType' ? type.type : type).name?.value === 'Upload';
  const uploads = operation?.variableDefinitions?.filter(isUpload).map(({ variable }) => variable.name.value) ?? [];
  const find = (value, path) => {
    if (value === null || value === '')
      return path.at(-1) === 'file' || (path.length === 1 && uploads.includes(path[0])) ? path : undefined;
    if (typeof value !== 'object') return undefined;
    return Object.entries(value).reduce((found, [key, child]) => found ?? find(child, [...path, key]), undefined);
  };
  return find(variables ?? {}, []);
}

function withNull(value, [key, ...path]) {
  if (key === undefined) return null;
  return Object.assign(Array.isArray(value) ? [...value] : { ...value }, { [key]: withNull(value[key], path) });
}

/** The variables with the selected chat wherever a chatId is empty. */
function withChat(variables) {
  if (variables === undefined || chatSelect.value === '') return variables;
  return JSON.parse(JSON.stringify(variables), (key, value) =>
    key === 'chatId' && value === '' ? chatSelect.value : value,
  );
}

function tell(error) {
  state.value = `The chats could not be listed: ${error.message}`;
}

/** Selects the newest chat that the answer of a mutation names, or else what was selected, or else the newest. */
async function listChats(answer = '') {
  const { data, errors } = await sendJson({ query: '{ chats(first: 100) { nodes { id name } } }' }, sentHeaders);
  if (errors) throw new Error(errors[0].message);
  state.value = '';
  const chats = data?.chats.nodes ?? [];
  if (chats.length === 0) return chatSelect.replaceChildren(new Option('no chat yet: run CreateChat', ''));
  const selected = chats.find(({ id }) => answer.includes(id)) ?? chats.find(({ id }) => id === chatSelect.value);
  chatSelect.replaceChildren(...chats.map(({ id, name }) => new Option(`${name} (${id})`, id)));
  chatSelect.value = (selected ?? chats[0]).id;
}

const defaultTabs = JSON.parse(document.getElementById('examples').textContent);
const props = { fetcher, defaultEditorToolsVisibility: 'variables', ...(defaultTabs.length > 0 && { defaultTabs }) };
ReactDOM.createRoot(document.getElementById('graphiql')).render(React.createElement(GraphiQL, props));
document.getElementById('bar').hidden = false;
listChats().catch(tell);
