//! How transactions begin and end, and what cannot be written at all.

mod compile;
mod demotions;
pub mod ending;
mod flights;
pub mod interleaved;
