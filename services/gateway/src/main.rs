//! Runs the gateway as its own process.

use std::process::ExitCode;

fn main() -> ExitCode {
    nodkey_runtime::main::<nodkey_gateway::Gateway>()
}
