//! Runs the gateway as a process of its own.

use std::process::ExitCode;

fn main() -> ExitCode {
    nodkey_runtime::main::<nodkey_gateway::Gateway>()
}
