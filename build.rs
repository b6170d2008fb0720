//! Two folders go into the binary that cargo does not see through the macros that embed them: it is told to look.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=migrations");

    // The GraphiQL bundle, which `web/graphiql/build` makes. The folder must exist, so that the crate compiles without
    // Node; an empty one gives a binary whose `/graphiql` says how to fill it.
    let bundle = std::path::Path::new("web/graphiql/dist");
    if let Err(error) = std::fs::create_dir_all(bundle) {
        panic!("cannot create {}: {error}", bundle.display());
    }
    println!("cargo:rerun-if-changed={}", bundle.display());
}
