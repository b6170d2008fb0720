//! Programs that must not compile, beside one that must.

/// Each program breaks one rule of the scoped query layer. The expected messages stand beside them; after a new
/// toolchain, `TRYBUILD=overwrite cargo test --test it unscoped` writes them again: read the difference.
#[test]
fn unscoped_programs_do_not_compile() {
    let cases = trybuild::TestCases::new();
    cases.pass("tests/compile/pass/*.rs");
    cases.compile_fail("tests/compile/fail/*.rs");
}
