//! What the API relies on in the engine. A change of its version that breaks one of these fails here.

mod engine;
mod null_propagation;
