//! The REST edge as its callers meet it: the real server over TLS on a free port, on the real use cases.

mod bad_input;
mod generated;
mod house;
mod matrix;
mod shapes;
mod transport;
