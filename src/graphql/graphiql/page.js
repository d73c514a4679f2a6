const { React, ReactDOM, GraphiQL, graphqlWs } = window;
const endpoint = new URL('/graphql', location.href);
const fileInput = document.getElementById('file');
const uploadState = document.getElementById('upload-state');

const socket = graphqlWs.createClient({ url: endpoint.href.replace(/^http/, 'ws') });

/** GraphiQL's fetcher: subscriptions over WebSocket, a chosen file as a multipart request, all else as JSON. */
function fetcher(params, { headers = {}, documentAST } = {}) {
  const operation = operationOf(documentAST, params.operationName);
  if (operation?.operation === 'subscription') return subscribe(params);
  const file = fileInput.files[0];
  const path = file && uploadPath(params.variables, operation);
  return path ? sendFile(params, path, file, headers) : sendJson(params, headers);
}

function subscribe(params) {
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

async function sendJson(params, headers) {
  const body = JSON.stringify(params);
  return answer(
    await fetch(endpoint, { method: 'POST', body, headers: { ...headers, 'content-type': 'application/json' } }),
  );
}

/** https://github.com/jaydenseric/graphql-multipart-request-spec */
async function sendFile(params, path, file, headers) {
  const form = new FormData();
  form.append('operations', JSON.stringify(params));
  form.append('map', JSON.stringify({ 0: [path.join('.')] }));
  form.append('0', file);
  uploadState.value = `Uploading ${file.name}…`;
  try {
    const preflighted = { ...headers, 'apollo-require-preflight': 'true' };
    return await answer(await fetch(endpoint, { method: 'POST', body: form, headers: preflighted }));
  } finally {
    uploadState.value = '';
  }
}

function answer(response) {
  return response.json();
}

function operationOf(document, name) {
  const operations = document?.definitions.filter(({ kind }) => kind === 'OperationDefinition') ?? [];
  return name ? operations.find((operation) => operation.name?.value === name) : operations[0];
}

/** The path of the first null that is a variable of type Upload or, inside of an input object, a field named "file". */
function uploadPath(variables, operation) {
  const isUpload = ({ type }) => (type.kind === 'NonNullType' ? type.type : type).name?.value === 'Upload';
  const uploads = operation?.variableDefinitions?.filter(isUpload).map(({ variable }) => variable.name.value) ?? [];
  const find = (value, path) => {
    if (value === null)
      return path.at(-1) === 'file' || (path.length === 2 && uploads.includes(path[1])) ? path : undefined;
    if (typeof value !== 'object') return undefined;
    return Object.entries(value).reduce((found, [key, child]) => found ?? find(child, [...path, key]), undefined);
  };
  return find(variables ?? {}, ['variables']);
}

const defaultTabs = JSON.parse(document.getElementById('examples').textContent);
const props = { fetcher, defaultEditorToolsVisibility: 'variables', ...(defaultTabs.length > 0 && { defaultTabs }) };
ReactDOM.createRoot(document.getElementById('graphiql')).render(React.createElement(GraphiQL, props));
document.getElementById('upload').hidden = false;
