//! The database by itself: migrations, walls, doors, and the doctor that looks after them.

mod catalogue;
mod counters;
pub mod demo;
mod doctor;
mod doors;
mod enrol;
mod isolation;
mod migrations;
