//! The policy pass.
