//! The emulator from outside, byte by byte.

mod rules;
mod wire;
