//! What the system's tests are made of: databases, a whole FinCore driven by hand, processes to kill, stores that die.
//!
//! Not here: the tests. They are one binary, `suite/`.

pub mod books;
pub mod build;
pub mod clock;
pub mod cloud;
pub mod collector;
pub mod conduct;
pub mod crash;
pub mod database;
pub mod dev;
pub mod emulators;
pub mod fuzz;
pub mod lambda;
pub mod lossy;
pub mod package;
pub mod pages;
pub mod previous;
pub mod process;
pub mod queue;
pub mod recorder;
pub mod redis;
pub mod shared;
pub mod site;
pub mod stage;
pub mod state_machine;
pub mod third_party;
pub mod world;
pub mod written;
