//! The client against a server that does what it is told, however wrong.

mod calls;
mod support;
