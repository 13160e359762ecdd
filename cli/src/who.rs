//! Who calls, for commands that a backend as well as an operator may use.

use nodkey_client::Nodkey;

use crate::connection::{Backend, Connected, DataDir, Grpc, HttpCaller, Operator};

/// A backend by its server credential, or an operator.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Connection")]
pub struct Who {
    /// As an operator, for the relying party of --relying-party
    #[arg(long = "operator")]
    as_operator: bool,
    /// The gateway's URL [default: that of `nodkey dev`, or of the session]
    #[arg(long, env = "NODKEY_HTTP", value_name = "URL")]
    http: Option<String>,
    #[command(flatten)]
    data_dir: DataDir,
    #[command(flatten)]
    grpc: Grpc,
    #[command(flatten)]
    backend: Backend,
    #[command(flatten)]
    operator: Operator,
}

impl Who {
    /// For calls of the gateway over HTTP.
    pub fn caller(self) -> anyhow::Result<HttpCaller> {
        let Self { as_operator, http, data_dir, grpc, backend, operator } = self;
        let http = http.as_deref();
        if as_operator { operator.caller(&data_dir, &grpc, http) } else { backend.caller(&data_dir, &grpc, http) }
    }

    /// For calls over gRPC.
    pub fn connect(self) -> anyhow::Result<Nodkey> {
        let Self { as_operator, http, data_dir, grpc, backend, operator } = self;
        if !as_operator {
            return backend.connect_at(&data_dir, &grpc, http.as_deref());
        }
        let Connected { nodkey, .. } = operator.connect(&data_dir, &grpc, true)?;
        Ok(nodkey)
    }
}
