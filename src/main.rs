//! The `hptune` program: see the library's documentation for how it is made.

use std::process::ExitCode;

fn main() -> ExitCode {
    hptune::cli::main(std::env::args_os())
}
