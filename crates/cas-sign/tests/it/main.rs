//! The crate from outside: published numbers, properties, and both halves against each other.

mod recorded;
