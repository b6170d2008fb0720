// What a team would write by hand: graphql-yoga, dataloader and pg. One transaction for each request, the tenant set in
// it for the policies and named in every WHERE as well, resolvers for each field, batching through dataloaders.
import { createServer } from "node:http";
import { randomBytes } from "node:crypto";
import DataLoader from "dataloader";
import { createSchema, createYoga } from "graphql-yoga";
import pg from "pg";

pg.types.setTypeParser(1184, (text) => text);
const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: Number(process.env.POOL), idleTimeoutMillis: 0 });

const typeDefs = /* GraphQL */ `
  type Tenant { id: ID! slug: String! name: String! }
  type PageInfo { hasNextPage: Boolean! endCursor: String }
  type Workspace { id: ID! slug: String! name: String! tasks(first: Int = 25, after: String): TaskConnection! }
  type Task { id: ID! title: String! state: String! createdAt: String! }
  type TaskEdge { cursor: String! node: Task! }
  type TaskConnection { edges: [TaskEdge!]! pageInfo: PageInfo! }
  type User { id: ID! displayName: String! email: String }
  type Role { id: ID! name: String! }
  type RoleGrant { id: ID! role: Role workspace: Workspace }
  type Member { id: ID! user: User roleGrants: [RoleGrant!]! }
  type MemberEdge { cursor: String! node: Member! }
  type MemberConnection { edges: [MemberEdge!]! pageInfo: PageInfo! }
  input TaskCreateInput { projectId: ID! assigneeId: ID title: String! }
  type TaskCreatePayload { task: Task! }
  type Query { tenant: Tenant workspace(id: ID!): Workspace members(first: Int = 25): MemberConnection! }
  type Mutation { taskCreate(input: TaskCreateInput!): TaskCreatePayload! }
`;

// One client and one transaction for each request, taken at the first statement.
class Transaction {
  constructor(tenant) {
    this.tenant = tenant;
    this.client = null;
  }
  async open() {
    const client = await pool.connect();
    try {
      await client.query("BEGIN");
      await client.query("SELECT set_config('app.tenant_id', $1, true)", [this.tenant]);
    } catch (error) {
      client.release(error);
      throw error;
    }
    return client;
  }
  async query(text, values) {
    this.client ??= this.open();
    return (await (await this.client).query(text, values)).rows;
  }
  async close(failed) {
    if (!this.client) return;
    const client = await this.client;
    try {
      await client.query(failed ? "ROLLBACK" : "COMMIT");
    } finally {
      client.release();
    }
  }
}

const byKey = (load, keyOf) =>
  new DataLoader(async (keys) => {
    const found = new Map((await load(keys)).map((row) => [keyOf(row), row]));
    return keys.map((key) => found.get(key) ?? null);
  });

const loaders = (tx) => ({
  workspace: byKey((ids) => tx.query("SELECT id, slug, name FROM workspaces WHERE tenant_id = $1 AND id = ANY($2) AND deleted_at IS NULL", [tx.tenant, ids]), (row) => row.id),
  role: byKey((ids) => tx.query("SELECT id, name FROM roles WHERE tenant_id = $1 AND id = ANY($2) AND deleted_at IS NULL", [tx.tenant, ids]), (row) => row.id),
  user: byKey((ids) => tx.query("SELECT u.id, u.display_name, e.email FROM users u LEFT JOIN user_emails e ON e.user_id = u.id AND e.is_primary AND e.verified_at IS NOT NULL WHERE u.id = ANY($1)", [ids]), (row) => row.id),
  grants: new DataLoader(async (members) => {
    const rows = await tx.query("SELECT id, member_id, role_id, workspace_id FROM role_grants WHERE tenant_id = $1 AND member_id = ANY($2) AND (expires_at IS NULL OR expires_at > now())", [tx.tenant, members]);
    const found = new Map(members.map((id) => [id, []]));
    for (const row of rows) found.get(row.member_id).push(row);
    return members.map((id) => found.get(id));
  }),
});

const seal = (row) => Buffer.from(`${row.created_at}|${row.id}`).toString("base64");
const unseal = (cursor) => (cursor ? Buffer.from(cursor, "base64").toString().split("|") : [null, null]);
const connection = (rows, first) => {
  const page = rows.slice(0, first);
  return {
    edges: page.map((row) => ({ cursor: seal(row), node: row })),
    pageInfo: { hasNextPage: rows.length > first, endCursor: page.length ? seal(page.at(-1)) : null },
  };
};
const uuidv7 = () => {
  const hex = Date.now().toString(16).padStart(12, "0") + "7" + randomBytes(2).toString("hex").slice(1) + "8" + randomBytes(8).toString("hex").slice(1);
  return hex.replace(/(.{8})(.{4})(.{4})(.{4})(.{12})/, "$1-$2-$3-$4-$5");
};

const resolvers = {
  Query: {
    tenant: async (_, __, { tx }) => (await tx.query("SELECT id, slug, name FROM tenants WHERE id = $1", [tx.tenant]))[0],
    workspace: (_, { id }, { load }) => load.workspace.load(id),
    members: async (_, { first }, { tx }) => connection(await tx.query("SELECT id, user_id, created_at FROM members WHERE tenant_id = $1 AND deleted_at IS NULL ORDER BY created_at DESC, id DESC LIMIT $2", [tx.tenant, first + 1]), first),
  },
  Mutation: {
    taskCreate: async (_, { input }, { tx }) => {
      const [project] = await tx.query("SELECT id, workspace_id FROM projects WHERE tenant_id = $1 AND id = $2", [tx.tenant, input.projectId]);
      const [task, audit, event] = [uuidv7(), uuidv7(), uuidv7()];
      const [row] = await tx.query("INSERT INTO tasks (tenant_id, id, project_id, workspace_id, assignee_member_id, title) VALUES ($1, $2, $3, $4, $5, $6) RETURNING id, title, state, created_at, version", [tx.tenant, task, project.id, project.workspace_id, input.assigneeId, input.title]);
      await tx.query("INSERT INTO audit_logs (tenant_id, id, at, action, outcome, actor_kind, actor_id, workspace_id, target_kind, target_id, operation_name, source) VALUES ($1, $2, now(), 'task.create', 'success', 'member', $3, $4, 'task', $5, 'Q4', 'api')", [tx.tenant, audit, input.assigneeId, project.workspace_id, task]);
      await tx.query("INSERT INTO events (tenant_id, id, type, api_version, workspace_id, subject_id, payload, actor_kind, actor_id, audit_id, occurred_at) VALUES ($1, $2, 'task.created', '2026-11', $3, $4, $5, 'member', $6, $7, now())", [tx.tenant, event, project.workspace_id, task, { taskId: task, projectId: project.id, version: row.version }, input.assigneeId, audit]);
      return { task: row };
    },
  },
  Workspace: {
    tasks: async (workspace, { first, after }, { tx }) => {
      const rows = "SELECT id, title, state, created_at FROM tasks WHERE tenant_id = $1 AND workspace_id = $2";
      const order = "ORDER BY created_at DESC, id DESC LIMIT $3";
      const values = [tx.tenant, workspace.id, first + 1];
      // A statement of its own, as `$4 IS NULL OR …` would keep PostgreSQL from using the index for the place.
      const found = after ? tx.query(`${rows} AND (created_at, id) < ($4, $5) ${order}`, [...values, ...unseal(after)]) : tx.query(`${rows} ${order}`, values);
      return connection(await found, first);
    },
  },
  Task: { createdAt: (task) => task.created_at },
  Member: { user: (member, _, { load }) => load.user.load(member.user_id), roleGrants: (member, _, { load }) => load.grants.load(member.id) },
  User: { displayName: (user) => user.display_name },
  RoleGrant: {
    role: (grant, _, { load }) => load.role.load(grant.role_id),
    workspace: (grant, _, { load }) => (grant.workspace_id ? load.workspace.load(grant.workspace_id) : null),
  },
};

const yoga = createYoga({
  schema: createSchema({ typeDefs, resolvers }),
  graphiql: false,
  landingPage: false,
  logging: false,
  maskedErrors: false,
  context: ({ req }) => {
    const tx = new Transaction(req.headers["x-tenant-id"] ?? "");
    return { tx, load: loaders(tx) };
  },
  plugins: [
    {
      onExecute: ({ args }) => ({
        onExecuteDone: ({ result }) => args.contextValue.tx.close(Boolean(result?.errors?.length)),
      }),
    },
  ],
});
createServer(yoga).listen(Number(process.env.PORT), "127.0.0.1");
