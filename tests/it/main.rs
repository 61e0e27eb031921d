//! Everything in one binary: each further one would link the whole again.

mod house;
