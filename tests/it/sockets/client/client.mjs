// The client graphql-ws, driven by the test: what happens is one JSON object per line on standard output, what to do is
// one word per line on standard input.
import { createInterface } from "node:readline";
import { createClient } from "graphql-ws";
import WebSocket from "ws";

const { url, authorization, tenant, query } = JSON.parse(process.argv[2]);
const tell = (what) => process.stdout.write(JSON.stringify(what) + "\n");

let socket;
const client = createClient({
  url,
  webSocketImpl: WebSocket,
  connectionParams: async () => ({ authorization, tenant }),
  retryAttempts: 5,
  retryWait: async () => {},
  on: {
    connected: (opened) => {
      socket = opened;
      tell({ connected: true });
    },
    closed: (event) => tell({ closed: event.code, reason: event.reason }),
  },
});

// The same object is sent again after a break, so it always holds where to go on.
const payload = { query, variables: { after: null } };
const end = client.subscribe(payload, {
  next: (result) => {
    payload.variables.after = result.data?.taskChanged?.eventId ?? payload.variables.after;
    tell({ next: result });
  },
  error: (error) => tell({ error: Array.isArray(error) ? error : { code: error.code, reason: error.reason } }),
  complete: () => tell({ complete: true }),
});

createInterface({ input: process.stdin }).on("line", async (word) => {
  if (word === "drop") socket.terminate();
  if (word === "end") end();
  if (word === "query") {
    try {
      for await (const result of client.iterate({ query: "{ viewer { kind } }" })) tell({ next: result });
    } catch (error) {
      tell({ error });
    }
  }
  if (word === "quit") {
    await client.dispose();
    process.exit(0);
  }
});
