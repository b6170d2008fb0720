# shellcheck shell=bash
# What the scripts of this folder need on a fresh Debian or Ubuntu; they source this file. Each function does nothing when
# its thing is there. Rust alone is left to the user.

# say WHAT: progress, on stderr, so that a command's own output stays clean.
say() {
    if [ -t 2 ]; then printf '\033[1m==> %s\033[0m\n' "$*" >&2; else printf '==> %s\n' "$*" >&2; fi
}

# fail WHAT WHY-AND-NEXT-STEP…
fail() {
    printf '\n%s\n' "$@" >&2
    exit 1
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null && { sudo -n true || : </dev/tty; } 2>/dev/null; then
        sudo "$@" # without a terminal there is nobody to type a password
    else
        return 1
    fi
}

# need_packages PACKAGE…: installs Debian packages.
need_packages() {
    command -v apt-get >/dev/null ||
        fail "Missing: $*." "This machine has no apt-get; install their likes with its own package manager."
    say "installing $* with apt-get"
    # Without /dev/null, a question asked by a package would read the caller's input or wait for ever.
    if ! { as_root apt-get update -qq && as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"; } \
        </dev/null >/dev/null; then
        fail "Could not install $*." "Install by hand, then run this again: sudo apt-get install -y $*"
    fi
}

need_rust() {
    command -v cargo >/dev/null || PATH="$PATH:${CARGO_HOME:-$HOME/.cargo}/bin"
    command -v cargo >/dev/null || fail \
        "Rust was not found. It takes one line:" \
        "  curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y && . \"\$HOME/.cargo/env\""
    command -v cc >/dev/null || need_packages gcc libc6-dev
}

# need_component NAME PROGRAM: a part of the Rust toolchain, such as clippy.
need_component() {
    command -v "$2" >/dev/null && "$2" --version >/dev/null 2>&1 && return
    command -v rustup >/dev/null || fail "$2 was not found." "Install it with whatever installed Rust (its part '$1')."
    say "adding $1 to the Rust toolchain"
    rustup component add "$1"
}

# The major version of the newest PostgreSQL server programs, or 0.
postgres_version() {
    local program version newest=0
    for program in ${TENANTRY_POSTGRES_PROGRAMS:+"$TENANTRY_POSTGRES_PROGRAMS/postgres"} \
        /usr/lib/postgresql/*/bin/postgres "$(command -v postgres || true)"; do
        [ -x "$program" ] || continue
        version=$("$program" --version | sed -E 's/^.*\(PostgreSQL\) ([0-9]+).*$/\1/')
        if [[ "$version" =~ ^[0-9]+$ ]] && [ "$version" -gt "$newest" ]; then newest=$version; fi
    done
    echo "$newest"
}

# The programs of a PostgreSQL server, version 15 or newer; Tenantry starts its own private server from them.
need_postgres() {
    [ "$(postgres_version)" -ge 15 ] && return
    if command -v apt-get >/dev/null && ! dpkg -s postgresql-common >/dev/null 2>&1; then
        # Debian's package would create a server of its own on port 5432, start it now and with every boot.
        local folder=/etc/postgresql-common/createcluster.d
        as_root mkdir -p "$folder" || fail "PostgreSQL 15 or newer was not found." "Run: sudo apt-get install -y postgresql"
        echo 'create_main_cluster = false' | as_root tee "$folder/tenantry.conf" >/dev/null
        need_packages postgresql
        # Only for this installation: what the owner of this machine installs later is theirs to decide.
        as_root rm -f "$folder/tenantry.conf"
    else
        need_packages postgresql
    fi
    [ "$(postgres_version)" -ge 15 ] || fail \
        "This system's PostgreSQL is version $(postgres_version), Tenantry needs 15 or newer. PostgreSQL's own packages have it:" \
        "  sudo apt-get install -y postgresql-common && sudo /usr/share/postgresql-common/pgdg/apt.postgresql.org.sh -y" \
        "  sudo apt-get install -y postgresql-17"
}

# Whether programs can be linked with libpq. A pg_config says nothing about it: postgresql-common has one as well.
has_libpq() {
    echo 'int main(void) { return 0; }' | cc -x c -o /dev/null - -L"$(pg_config --libdir 2>/dev/null || echo .)" -lpq 2>/dev/null
}

# The client graphql-ws, which tests of the sockets run with Node.js.
need_socket_client() {
    command -v node >/dev/null && command -v npm >/dev/null || need_packages nodejs npm
    local folder=tests/it/sockets/client
    [ "$folder/node_modules/.package-lock.json" -nt "$folder/package-lock.json" ] && return
    say "installing the socket client of the tests"
    (cd "$folder" && npm ci --no-audit --no-fund --loglevel=error >/dev/null)
}

# need_idle_package PACKAGE: installs a package whose service must not start, neither now nor with the next boot.
need_idle_package() {
    if command -v apt-get >/dev/null && [ ! -e /usr/sbin/policy-rc.d ]; then
        # 101: services are not started.
        printf '#!/bin/sh\nexit 101\n' | as_root tee /usr/sbin/policy-rc.d >/dev/null ||
            fail "$1 was not found." "Run: sudo apt-get install -y $1"
        as_root chmod +x /usr/sbin/policy-rc.d
        # Whatever comes of the installation: services that are installed later are their owner's to decide.
        ( need_packages "$1" ) || { as_root rm -f /usr/sbin/policy-rc.d; exit 1; }
        as_root rm -f /usr/sbin/policy-rc.d
        as_root systemctl disable "$1" >/dev/null 2>&1 || : # nor at the next boot
    else
        need_packages "$1"
    fi
}

# The program of a Redis server, 6.2 or newer; each test that needs one starts its own from it.
need_redis() {
    command -v redis-server >/dev/null && return
    need_idle_package redis-server
    command -v redis-server >/dev/null || fail "redis-server is installed and not in the PATH." "Put its folder there."
}

# The minor version of a PgBouncer 1.x, or 0.
pgbouncer_version() {
    local version
    version=$("$1" --version 2>/dev/null | sed -nE 's/^PgBouncer 1\.([0-9]+).*$/\1/p')
    echo "${version:-0}"
}

# Two PgBouncers, which the tests start: the distribution's, and one that is 1.21 or newer. Where the first is older
# (Debian 12), the second is built from the source package of the next Debian.
need_pgbouncer() {
    local tools="${TENANTRY_TOOLS:-$PWD/.tenantry/tools}" program
    program=$(command -v pgbouncer || echo /usr/sbin/pgbouncer)
    if [ ! -x "$program" ]; then
        need_idle_package pgbouncer
        program=$(command -v pgbouncer || echo /usr/sbin/pgbouncer)
    fi
    [ "$(pgbouncer_version "$program")" -ge 21 ] && return
    [ "$(pgbouncer_version "$tools/bin/pgbouncer")" -ge 21 ] && return
    [ -e /usr/include/event2/event.h ] && [ -e /usr/include/openssl/ssl.h ] && command -v pkg-config make cc >/dev/null ||
        need_packages gcc libc6-dev make pkg-config libevent-dev libssl-dev
    say "building PgBouncer (a minute, once)"
    build_pgbouncer "$tools" || fail "PgBouncer 1.21 or newer could not be built." \
        "Put the program of one at $tools/bin/pgbouncer, or install a distribution's that is new enough."
}

# build_pgbouncer FOLDER: apt-get verifies the source by the signature of Debian's archive, from lists of its own.
build_pgbouncer() (
    set -e
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    mkdir -p "$work/lists/partial" "$1/bin"
    archive=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Label: Debian' | head -1)
    [ -n "$archive" ] # only Debian's own systems name it
    echo "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $archive trixie main" >"$work/sources.list"
    options=(-qq -o Dir::Etc::sourcelist="$work/sources.list" -o Dir::Etc::sourceparts=- -o Dir::State::lists="$work/lists"
        -o Dir::Cache::srcpkgcache= -o Dir::Cache::pkgcache= -o APT::Sandbox::User="$(id -un)")
    apt-get "${options[@]}" update
    (cd "$work" && apt-get "${options[@]}" source --download-only pgbouncer)
    tar -C "$work" --strip-components=1 --one-top-level=source -xzf "$work"/pgbouncer_*.orig.tar.gz
    cd "$work/source"
    { ./configure --without-cares --without-pam --without-systemd && make -j"$(nproc)" pgbouncer; } >"$work/log" 2>&1 ||
        { tail -20 "$work/log" >&2; exit 1; }
    install pgbouncer "$1/bin/pgbouncer"
)

# GraphiQL goes into the binary when it is compiled. Without Node.js there is a binary without it.
build_graphiql() {
    [ -x web/graphiql/build ] || return 0
    if command -v npm >/dev/null; then
        web/graphiql/build || say "GraphiQL was not built; the server works without it"
    elif [ ! -f web/graphiql/dist/index.html ]; then
        say "npm was not found: the server comes without GraphiQL (sudo apt-get install -y nodejs npm, version 20 or newer)"
    fi
}

# Where a server is put under load.
bench_folder=${BENCH_DIR:-$PWD/.tenantry/bench}

# What puts it there: PostgreSQL, wrk, and that folder.
need_bench() {
    command -v python3 >/dev/null || need_packages python3
    need_postgres
    command -v wrk >/dev/null || need_packages wrk
    mkdir -p "$bench_folder"
    if [ "$(id -u)" = 0 ] && ! setpriv --reuid=postgres --regid=postgres --clear-groups test -x "$bench_folder"; then
        fail "The user postgres cannot reach $bench_folder, and PostgreSQL does not run as root." \
            "Name a folder that it can reach: BENCH_DIR=/var/tmp/tenantry-bench"
    fi
}
