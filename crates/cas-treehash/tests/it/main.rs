//! What the crate promises, seen from outside.

mod oracle;

mod equality;
mod leaves;
mod limits;
mod reading;
mod resumable;
mod shape;
mod vectors;
mod verify;
