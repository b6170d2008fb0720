//! Makes sure that the folder of the GraphiQL bundle exists, so that the crate compiles without Node.
//!
//! `web/graphiql/build` fills it; an empty folder gives a binary whose `/graphiql` says how to do that.

fn main() {
    let folder = std::path::Path::new("web/graphiql/dist");
    if let Err(error) = std::fs::create_dir_all(folder) {
        panic!("cannot create {}: {error}", folder.display());
    }
    // Cargo looks through the whole folder: files that are added or removed are embedded anew.
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed={}", folder.display());
}
