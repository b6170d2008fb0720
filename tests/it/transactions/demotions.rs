//! Ten thousand races between a demotion and a mutation: nothing is written after the demotion has committed.
//!
//! Each round, a member is suspended by the owner while requests of the member create tasks, all through the services, each
//! on a connection of its own. A deferred trigger, which runs when the demotion commits, keeps PostgreSQL's own view of that moment: which
//! transactions had committed. Every task of the round must be visible in it. A task that is not was committed afterwards,
//! whatever any clock says.

use std::sync::Arc;

use rand::{Rng, SeedableRng, rngs::StdRng};
use tenantry::{
    clock::Clock,
    context::{Door, Principal, RequestContext, membership},
    db::{Stats, embedded::SUPERUSER},
    domain::{
        Error, Services, members,
        mutation::Written,
        tasks::{self, types::TaskDraft},
    },
    ids::{Id, RequestId, SessionId},
};
use tokio_postgres::Client;

use crate::support::{
    app::{TestApp, TestTenant, TestUser},
    database::migrated,
};

const RACES: usize = 10_000;
/// Mutations that race with one demotion.
const WRITERS: usize = 5;
/// Tenants in which demotions run side by side, so that PostgreSQL always has something to mix.
const TENANTS: usize = 2;
const ROUNDS: usize = RACES / WRITERS;

const WATCH: &str = "
    CREATE TABLE demotions (tenant_id uuid NOT NULL, member_id uuid NOT NULL, number bigint GENERATED ALWAYS AS IDENTITY,
                            committing pg_snapshot NOT NULL);
    CREATE FUNCTION note_demotion() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
    BEGIN
        INSERT INTO demotions (tenant_id, member_id, committing) VALUES (NEW.tenant_id, NEW.id, pg_current_snapshot());
        RETURN NULL;
    END $$;
    CREATE CONSTRAINT TRIGGER note_demotion AFTER UPDATE OF status ON members DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW WHEN (OLD.status = 'active' AND NEW.status = 'suspended') EXECUTE FUNCTION note_demotion();
";

/// Tasks that are there although the demotion of their round did not see them. The title is the number of the round.
const LATE: &str = "
    WITH rounds AS (SELECT *, row_number() OVER (PARTITION BY tenant_id ORDER BY number) AS round FROM demotions)
    SELECT count(*) FROM tasks t JOIN rounds r ON r.tenant_id = t.tenant_id AND r.round = t.title::bigint
    WHERE NOT pg_visible_in_snapshot(t.xmin::text::xid8, r.committing)
";

fn request_of(user: &TestUser, tenant: &tenantry::context::Tenant, clock: &Clock) -> RequestContext {
    let now = clock.now();
    RequestContext {
        principal: Principal::Person { user: user.user, session: SessionId::new(now) },
        tenant: Some(tenant.clone()),
        membership: None,
        clock: clock.clone(),
        request: RequestId::new(now),
        stats: Arc::new(Stats::default()),
        client_address: None,
        user_agent: None,
        operation_name: None,
        idempotency: None,
        door: Door::Api,
    }
}

/// The request with the rights that it has now, as if it had just come in.
async fn arrived(services: &Services, ctx: &RequestContext) -> RequestContext {
    let mut ctx = RequestContext { stats: Arc::new(Stats::default()), ..ctx.clone() };
    let scope = tenantry::db::Scope {
        tenant: ctx.tenant.as_ref().expect("a tenant").id,
        user: ctx.principal.user(),
        actor: None,
        request: ctx.request,
        stats: Arc::new(Stats::default()),
    };
    let tx = services.db.read(&scope).await.expect("a connection");
    let found = membership::load(&tx, &ctx.principal, ctx.now()).await.expect("an answer").expect("a member");
    tx.commit().await.expect("a commit");
    ctx.membership = Some(Arc::new(found));
    ctx
}

struct Outcomes {
    written: usize,
    refused: usize,
}

async fn race(tenant: TestTenant, seed: u64, rounds: usize) -> Outcomes {
    let services = tenant.app.app.services.clone();
    let clock = Clock::system();
    let named = tenant.named().await;
    let developer = tenant.member("developer").await;
    let project = tenant.project("race").await.parse().expect("an id");
    let member = developer.member.expect("a member");
    let client: Client = tenant.app.database.connect(SUPERUSER).await;
    let let_in = format!("UPDATE members SET status = 'active' WHERE id = '{}'", member.uuid());
    let owner = request_of(&tenant.owner, &named, &clock);
    let worker = request_of(&developer, &named, &clock);
    let (owner, mut known) = (arrived(&services, &owner).await, arrived(&services, &worker).await);
    let mut random = StdRng::seed_from_u64(seed);
    let mut outcomes = Outcomes { written: 0, refused: 0 };
    for round in 1..=rounds {
        // Half of the requests know the rights of this moment, half those of a moment long gone, as a cache would give them.
        if random.random_bool(0.5) {
            known = arrived(&services, &worker).await;
        }
        let demote = {
            let (services, ctx) = (services.clone(), RequestContext { stats: Arc::default(), ..owner.clone() });
            let wait = random.random_range(0..12);
            tokio::spawn(async move {
                for _ in 0..wait {
                    tokio::task::yield_now().await;
                }
                members::changes::suspend(&services, &ctx, member, None).await
            })
        };
        let writes: Vec<_> = (0..WRITERS)
            .map(|_| {
                let (services, ctx) = (services.clone(), RequestContext { stats: Arc::default(), ..known.clone() });
                let draft = TaskDraft { title: round.to_string(), ..TaskDraft::default() };
                let wait = random.random_range(0..12);
                tokio::spawn(async move {
                    for _ in 0..wait {
                        tokio::task::yield_now().await;
                    }
                    tasks::service::create(&services, &ctx, project, draft).await
                })
            })
            .collect();
        let demoted = demote.await.expect("no panic");
        assert!(matches!(demoted, Ok(Written::Now(_))), "round {round}: {:?}", demoted.err());
        for write in writes {
            match write.await.expect("no panic") {
                Ok(_) => outcomes.written += 1,
                Err(Error::Api(error)) => {
                    assert_eq!(error.code.as_str(), "TENANT_NOT_FOUND");
                    outcomes.refused += 1;
                }
                Err(error) => panic!("round {round}: {error:?}"),
            }
        }
        client.batch_execute(&let_in).await.expect("lets the member in again");
    }
    outcomes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_written_after_a_demotion_has_committed() {
    let database = Arc::new(migrated().await);
    database.run(SUPERUSER, WATCH).await;
    let app = TestApp::on(Arc::clone(&database), Clock::system(), |settings| settings.pool.pool_size = 12).await;
    let mut races = Vec::new();
    for number in 0..TENANTS {
        let tenant = app.tenant().await;
        races.push(tokio::spawn(race(tenant, number as u64, ROUNDS / TENANTS)));
    }
    let (mut written, mut refused) = (0, 0);
    for race in races {
        let outcomes = race.await.expect("no race panics");
        written += outcomes.written;
        refused += outcomes.refused;
    }
    let client = database.connect(SUPERUSER).await;
    let number = async |sql: &str| -> i64 { client.query_one(sql, &[]).await.expect("a number").get(0) };
    assert_eq!(written + refused, RACES);
    assert_eq!(number("SELECT count(*) FROM demotions").await, ROUNDS as i64);
    assert_eq!(number("SELECT count(*) FROM tasks").await, written as i64);
    let late = number(LATE).await;
    assert_eq!(late, 0, "of {written} tasks, {late} were committed after the demotion of their author");
    // Both ends of the race must be seen often, or nothing has raced.
    assert!(written >= RACES / 10 && refused >= RACES / 10, "{written} written, {refused} refused");
}
