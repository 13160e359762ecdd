//! Prints the OpenAPI document.

#[expect(clippy::print_stdout, reason = "what it is for")]
fn main() {
    println!("{}", nodkey_gateway::openapi());
}
