// PostGraphile 5 with its default preset, on the tables themselves and with the same login as the others; the tenant comes
// from a trusted header. `--print-schema` shows what it makes of them.
import { createServer } from "node:http";
import { postgraphile } from "postgraphile";
import { makePgService } from "postgraphile/adaptors/pg";
import { grafserv } from "postgraphile/grafserv/node";
import { PostGraphileAmberPreset } from "postgraphile/presets/amber";

const instance = postgraphile({
  extends: [PostGraphileAmberPreset],
  pgServices: [
    makePgService({
      connectionString: process.env.DATABASE_URL,
      schemas: ["public", "bench"],
      poolConfig: { max: Number(process.env.POOL), idleTimeoutMillis: 0 },
    }),
  ],
  grafast: { context: (ctx) => ({ pgSettings: { "app.tenant_id": ctx.node?.req?.headers["x-tenant-id"] ?? "" } }) },
  grafserv: { graphqlPath: "/graphql", graphiql: false, watch: false },
});
if (process.argv[2] === "--print-schema") {
  const { printSchema } = await import("graphql");
  console.log(printSchema(await instance.getSchema()));
  await instance.release();
  process.exit(0);
}
const server = createServer();
instance.createServ(grafserv).addTo(server);
server.listen(Number(process.env.PORT), "127.0.0.1");
