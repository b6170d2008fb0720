"""The rows that `seed.sql` makes, computed again: ids, credentials and the answers that are right.

An id is made of the tenant's number, its kind and its own number, in the form of a UUIDv7. So every load generator knows
every id without asking, and all contestants are asked for the same rows.
"""

import datetime
import random
import re
import zlib

KINDS = {"tenant": 1, "user": 2, "workspace": 3, "member": 4, "project": 5, "task": 6, "role": 7, "grant": 8, "key": 9}
PREFIXES = {"tnt": 1, "usr": 2, "wsp": 3, "mbr": 4, "prj": 5, "tsk": 6, "rol": 7, "rgr": 8, "key": 9}
ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"

MEMBERS = 20
WORKSPACES = 5
# Tasks of workspace 1; page 200 of 50 exists in every hundredth tenant, in up to a hundred of them.
SHALLOW, DEEP, PAGE = 120, 9_900, 50
DEEP_PAGE = 200
# People who sign in. Person p owns every tenant whose number leaves p when it is divided by their number.
PERSONS = 50
PASSWORD = "a bench needs no secret"
START = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)


def uuid(tenant, kind, number):
    return f"{tenant:08x}-{KINDS[kind]:04x}-7000-8000-{number:012x}"


def uuid_of_typeid(text):
    """The uuid in a TypeID such as `tsk_01h455vb4pex5vsknk084sn02q`."""
    value = 0
    for char in text.rsplit("_", 1)[1]:
        value = value * 32 + ALPHABET.index(char)
    digits = f"{value:032x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def api_key(tenant):
    """The API key of a tenant, in the form that the server checks before it asks the database."""
    body = f"tnk_live_{tenant:043d}"
    return f"{body}_{zlib.crc32(body.encode()):08x}"


def owner_email(person):
    return f"person-{person}@bench.test"


def deep_tenants(tenants):
    return [t for t in range(1, tenants + 1) if t % 100 == 1][:100]


def some_tenants(query, tenants):
    """Tenants whose answers are looked at before anything is measured."""
    if query == "q5":
        return deep_tenants(tenants)[:3]
    return sorted({1, 2, tenants // 2, tenants, *random.Random(tenants).sample(range(1, tenants + 1), 2)})


def place(query, tenant):
    """What the request of a tenant asks for: workspace, project and member by number."""
    number = {"q1": 1 + tenant % WORKSPACES, "q4": 2 + tenant % (WORKSPACES - 1)}.get(query, 1)
    return {"workspace": number, "project": number, "member": 1 + tenant % MEMBERS}


def task_number(position):
    """The number of the task at this position of workspace 1, counted from 1, newest first."""
    return SHALLOW + 1 - position if position <= SHALLOW else 1_000 + position - SHALLOW


def created(number):
    minutes = number if number <= 1_000 else 1_000 - number
    return START + datetime.timedelta(minutes=minutes)


def expected(query, tenant):
    """The answer, in the form of `normal`. `None` for what only the one who wrote it can know."""
    at = place(query, tenant)
    own = {"id": uuid(tenant, "tenant", 0), "slug": f"tenant-{tenant}", "name": f"Tenant {tenant}"}
    if query == "q1":
        n = at["workspace"]
        workspace = {"id": uuid(tenant, "workspace", n), "slug": f"workspace-{n}", "name": f"Workspace {n} of {tenant}"}
        return {"tenant": own, "workspace": workspace}
    if query in ("q2", "q5"):
        first = 1 if query == "q2" else (DEEP_PAGE - 1) * PAGE + 1
        numbers = [task_number(position) for position in range(first, first + PAGE)]
        nodes = [
            {"id": uuid(tenant, "task", n), "title": f"Task {n} of {tenant}", "state": "todo", "createdAt": created(n)}
            for n in numbers
        ]
        return {"workspace": {"tasks": {"edges": [{"node": node} for node in nodes], "pageInfo": {"hasNextPage": True}}}}
    if query == "q3":
        return {"members": {"edges": [{"node": member(tenant, n)} for n in range(MEMBERS, 0, -1)]}}
    if query == "q4":
        return {"task": {"id": None, "title": "Made by the bench", "state": "todo", "createdAt": None}}
    return {"tenant": own}


def member(tenant, n):
    is_owner = n == 1
    person = tenant % PERSONS
    user = {
        "id": uuid(0, "user", person) if is_owner else uuid(tenant, "user", n),
        "displayName": f"Person {person}" if is_owner else f"User {n} of {tenant}",
        "email": owner_email(person) if is_owner else f"user-{n}@tenant-{tenant}.test",
    }
    place = 1 + n % WORKSPACES
    grants = [
        {"role": {"id": role(tenant, key), "name": name}, "workspace": workspace}
        for key, name, workspace in (
            ("owner", "Owner", None) if is_owner else ("member", "Member", None),
            ("workspace_editor", "Workspace editor", {"id": uuid(tenant, "workspace", place), "name": f"Workspace {place} of {tenant}"}),
        )
    ]
    return {"id": uuid(tenant, "member", n), "user": user, "roleGrants": grants}


def role(tenant, key):
    # The position in the table `builtin_roles`.
    return uuid(tenant, "role", {"owner": 1, "member": 7, "workspace_editor": 10}[key])


def normal(answer):
    """An answer without what is each contestant's own: the form of ids, times and enum values, cursors, lists of nodes."""
    if isinstance(answer, dict):
        if set(answer) == {"nodes"}:
            return normal(answer["nodes"])
        return {
            name: sorted(normal(value), key=lambda grant: grant["workspace"] is not None) if name == "roleGrants"
            else address(value) if name == "email"
            else str(value).lower() if name == "state"
            else instant(value) if name == "createdAt"
            else normal(value)
            for name, value in answer.items()
            if name not in ("cursor", "endCursor", "userErrors")
        }
    if isinstance(answer, list):
        return [normal(value) for value in answer]
    if isinstance(answer, str) and re.fullmatch(r"[a-z]{3}_[0-9a-hjkmnp-tv-z]{26}", answer):
        return uuid_of_typeid(answer)
    return answer


def address(value):
    return value["nodes"][0]["email"] if isinstance(value, dict) else value


def instant(text):
    text = re.sub(r"\.\d+", "", text).replace("Z", "+00:00")
    return datetime.datetime.fromisoformat(text + ":00" if re.search(r"[+-]\d\d$", text) else text)


def difference(wanted, got, at="data"):
    """Where two answers part, or `None`."""
    if wanted is None and got is not None and at.endswith((".id", ".createdAt")):
        return None
    if isinstance(wanted, dict) and isinstance(got, dict):
        if set(wanted) != set(got):
            return f"{at} has {sorted(got)}, expected {sorted(wanted)}"
        pairs = [(wanted[name], got[name], f"{at}.{name}") for name in wanted]
    elif isinstance(wanted, list) and isinstance(got, list):
        if len(wanted) != len(got):
            return f"{at} has {len(got)} items, expected {len(wanted)}"
        pairs = [(one, other, f"{at}.{index}") for index, (one, other) in enumerate(zip(wanted, got))]
    else:
        return None if wanted == got else f"{at} is {got!r}, expected {wanted!r}"
    return next((found for pair in pairs if (found := difference(*pair))), None)
