//! Programs that must not compile, beside one that must.

/// The control: it is compiled with this binary, so a rule that forbids too much fails the build.
#[path = "../../compile/pass/scoped.rs"]
#[expect(dead_code, reason = "it must compile; nobody runs it")]
mod control;

/// Each program breaks one rule of the scoped query layer. The expected messages stand beside them; after a new
/// toolchain, `TRYBUILD=overwrite cargo test --test it unscoped` writes them again: read the difference.
#[test]
fn unscoped_programs_do_not_compile() {
    trybuild::TestCases::new().compile_fail("tests/compile/fail/*.rs");
}
