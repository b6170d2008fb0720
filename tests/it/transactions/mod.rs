//! How transactions begin and end, and what cannot be written at all.

mod compile;
mod demotions;
mod ending;
mod flights;
mod interleaved;
