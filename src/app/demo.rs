//! Demo data: two made-up tenants with people, workspaces, projects and tasks. Nobody in it exists.
//!
//! Made through the same services as everything else, as an operator, so that it has an audit trail like real data.
//! Passwords and keys are random on every machine.

use chrono::{Days, NaiveDate};
use secrecy::SecretString;

use crate::{
    access::Permission,
    context::{RequestContext, Tenant},
    domain::{
        Error, Services, api_keys, identity,
        identity::types::NewUser,
        mutation::{Effect, Written},
        platform::{
            service::{member_add, operator, tenant_create, tenant_named},
            types::NewTenant,
        },
        projects, tasks,
        tasks::types::{TaskDraft, TaskState},
        workspaces,
    },
    ids::{MemberId, TenantId, UserId, WorkspaceId},
};

/// How the demo data names itself in the audit log.
const LABEL: &str = "demo data";

/// How to come into the demo data.
#[derive(Clone, Debug, Default)]
pub struct Demo {
    /// Slug and id of each tenant.
    pub tenants: Vec<(String, TenantId)>,
    /// Who can sign in.
    pub sign_ins: Vec<SignIn>,
    /// Tenant, name and secret of each API key.
    pub api_keys: Vec<(String, String, SecretString)>,
}

/// A person of the demo data.
#[derive(Clone, Debug)]
pub struct SignIn {
    /// The slug of the tenant.
    pub tenant: String,
    /// The role in it.
    pub role: String,
    /// The address.
    pub email: String,
    /// The password, random on this machine.
    pub password: SecretString,
}

/// Whether there is no tenant yet.
///
/// # Errors
/// [`Error::Db`].
pub async fn is_empty(services: &Services) -> Result<bool, Error> {
    Ok(crate::domain::platform::service::tenant_list(services, LABEL, "", 1).await?.is_empty())
}

struct Cast {
    slug: &'static str,
    name: &'static str,
    workspaces: &'static [&'static str],
}

const CASTS: [Cast; 2] = [
    Cast { slug: "acme", name: "Acme (demo)", workspaces: &["Engineering", "Marketing"] },
    Cast { slug: "globex", name: "Globex (demo)", workspaces: &["Research"] },
];

/// The people of each tenant: name and role; the last two are given their role on the first workspace only.
const PEOPLE: [(&str, &str); 5] =
    [("ada", "owner"), ("ben", "admin"), ("cleo", "member"), ("dan", "workspace_editor"), ("eve", "workspace_viewer")];

/// Makes the demo data. `password` gives a fresh random one at every call.
///
/// # Errors
/// [`Error::Rejected`] if part of it exists already; [`Error::Db`].
pub async fn load(services: &Services, password: impl Fn() -> SecretString) -> Result<Demo, Error> {
    let mut demo = Demo::default();
    for cast in &CASTS {
        let (owner_name, owner_role) = PEOPLE[0];
        let owner = person(services, &mut demo, cast, owner_name, owner_role, password()).await?;
        let new = NewTenant { slug: cast.slug.to_owned(), name: cast.name.to_owned(), owner, plan: "team".to_owned() };
        let made = tenant_create(services, LABEL, new).await?;
        let tenant = tenant_named(services, cast.slug).await?;
        demo.tenants.push((cast.slug.to_owned(), made.tenant));
        fill(services, &mut demo, cast, &tenant, made.owner, &password).await?;
    }
    Ok(demo)
}

async fn person(
    services: &Services,
    demo: &mut Demo,
    cast: &Cast,
    name: &str,
    role: &str,
    password: SecretString,
) -> Result<UserId, Error> {
    let email = format!("{name}@{}.example", cast.slug);
    let display_name = name[..1].to_uppercase() + &name[1..] + " (demo)";
    let new = NewUser { email: email.clone(), display_name, password: Some(password.clone()), is_verified: true };
    let user = identity::service::create_user(services, &operator(services, LABEL, None), new).await?;
    demo.sign_ins.push(SignIn { tenant: cast.slug.to_owned(), role: role.to_owned(), email, password });
    Ok(user)
}

async fn fill(
    services: &Services,
    demo: &mut Demo,
    cast: &Cast,
    tenant: &Tenant,
    owner: MemberId,
    password: &impl Fn() -> SecretString,
) -> Result<(), Error> {
    let ctx = operator(services, LABEL, Some(tenant.clone()));
    let mut rooms: Vec<WorkspaceId> = Vec::new();
    for name in cast.workspaces {
        let draft = workspaces::types::WorkspaceDraft { name: (*name).to_owned(), ..Default::default() };
        rooms.push(now(workspaces::service::create(services, &again(&ctx), draft).await?)?.id);
    }
    let mut members = vec![owner];
    for (name, role) in &PEOPLE[1..] {
        let user = person(services, demo, cast, name, role, password()).await?;
        let room = role.starts_with("workspace_").then(|| rooms.first().copied()).flatten();
        let roles = vec![(*role).to_owned()];
        members.push(member_add(services, LABEL, tenant.clone(), user, roles, room).await?);
    }
    for room in &rooms {
        for name in ["Website", "Onboarding"] {
            let draft = projects::types::ProjectDraft {
                name: name.to_owned(),
                description: Some("Demo data: nothing here is real.".to_owned()),
                owner: Some(owner),
            };
            let project = now(projects::service::create(services, &again(&ctx), *room, draft).await?)?;
            let rows = (0..12).map(|number| task(number, &members)).collect();
            now(tasks::service::import(services, &again(&ctx), project.id, rows).await?)?;
        }
    }
    let draft = api_keys::types::ApiKeyDraft {
        name: "Demo integration".to_owned(),
        scopes: vec![
            Permission::TenantRead,
            Permission::WorkspacesRead,
            Permission::ProjectsRead,
            Permission::TasksRead,
            Permission::TasksWrite,
            Permission::MembersRead,
        ],
        owner: Some(owner),
        service_account: None,
        ..api_keys::types::ApiKeyDraft::default()
    };
    let issued = now(api_keys::service::create(services, &again(&ctx), draft).await?)?;
    let secret = issued.secret.ok_or_else(|| Error::Broken("a new key has no secret".to_owned()))?;
    demo.api_keys.push((cast.slug.to_owned(), issued.key.name, secret));
    Ok(())
}

/// The same operator with a request of its own: every use case is one request in the audit log.
fn again(ctx: &RequestContext) -> RequestContext {
    RequestContext { request: crate::ids::RequestId::new(ctx.now()), stats: std::sync::Arc::default(), ..ctx.clone() }
}

fn now<T: Effect>(written: Written<T>) -> Result<T, Error> {
    match written {
        Written::Now(effect) => Ok(effect),
        Written::Replayed(_) => Err(Error::Broken("demo data was made under an idempotency key".to_owned())),
    }
}

fn task(number: u32, members: &[MemberId]) -> TaskDraft {
    const TITLES: [&str; 6] = [
        "Draw the first sketch",
        "Write the announcement",
        "Collect the open questions",
        "Try it with five people",
        "Fix what they stumble over",
        "Celebrate",
    ];
    let index = number as usize;
    let first_day = NaiveDate::from_ymd_opt(2027, 1, 4).unwrap_or_default();
    TaskDraft {
        title: format!("{} ({})", TITLES[index % TITLES.len()], index + 1),
        state: Some([TaskState::Todo, TaskState::InProgress, TaskState::Done][index % 3]),
        points: (!number.is_multiple_of(4)).then_some(i32::try_from(number).unwrap_or_default()),
        due_on: number.is_multiple_of(2).then(|| first_day + Days::new(u64::from(number) * 3)),
        assignee: members.get(index % (members.len() + 1)).copied(),
        ..TaskDraft::default()
    }
}
