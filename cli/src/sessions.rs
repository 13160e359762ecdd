//! `nodkey sessions`: the sessions of operators.

use clap::Subcommand;
use nodkey_client::ServiceName;
use nodkey_proto::registry::v1::{
    EndOperatorSessionRequest, ListOperatorSessionsRequest, OperatorSessionInfo,
    operator_session_service_client::OperatorSessionServiceClient,
};
use serde_json::json;

use crate::{
    admin::{
        Admin, answer,
        list::{PageArgs, list},
        request,
        values::time,
    },
    connection::{DataDir, Grpc, Operator},
    output::{Record, filled, record},
};

/// List and end your sessions
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  nodkey sessions list
  nodkey sessions end 01890a5d-ac96-774b-bcce-b302099a8057
  nodkey sessions list --of 01890a5d-ac96-774b-bcce-b302099a8057      as an owner, another operator's")]
pub struct Args {
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(flatten)]
    data_dir: DataDir,
    #[command(flatten)]
    grpc: Grpc,
    #[command(flatten)]
    operator: Operator,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List your sessions, newest first; with the operator key, everybody's
    #[command(after_help = "Example:
  nodkey sessions list --json")]
    List {
        /// List the sessions of this operator instead; for owners
        #[arg(long = "of", value_name = "UUID", default_value = "", hide_default_value = true)]
        operator_id: String,
        #[command(flatten)]
        page: PageArgs,
    },
    /// End a session immediately: one of yours, or as an owner anybody's
    #[command(after_help = "Example:
  nodkey sessions end 01890a5d-ac96-774b-bcce-b302099a8057")]
    End {
        /// Session id
        id: String,
    },
}

/// Runs the command.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let admin = Admin::connect(args.operator, &args.data_dir, &args.grpc, false, args.json)?;
    let done = run_verb(&admin, args.verb).await;
    admin.explained(done)
}

async fn run_verb(admin: &Admin, verb: Verb) -> anyhow::Result<()> {
    let mut client = OperatorSessionServiceClient::new(admin.channel(ServiceName::Registry));
    match verb {
        Verb::List { operator_id, page } => {
            let columns = ["id", "this_one", "client", "address", "created_at", "seen_at", "expires_at"];
            list(admin, page, &columns, async |page_size, page_token| {
                let message = ListOperatorSessionsRequest { page_size, page_token, operator_id: operator_id.clone() };
                let answer = client.list_operator_sessions(request(message)).await?.into_inner();
                Ok((answer.sessions.iter().map(to_record).collect(), answer.next_page_token))
            })
            .await
        }
        Verb::End { id } => {
            let message = EndOperatorSessionRequest { id: id.clone(), bearer_token: String::new() };
            answer(client.end_operator_session(request(message))).await?;
            admin.show(&record([("id", json!(id)), ("ended", json!(true))]))
        }
    }
}

fn to_record(session: &OperatorSessionInfo) -> Record {
    record([
        ("id", json!(session.id)),
        ("operator_id", json!(session.operator_id)),
        ("this_one", json!(session.current)),
        ("client", filled(&session.user_agent)),
        ("address", filled(&session.client_address)),
        ("created_at", time(session.created_at.as_ref())),
        ("seen_at", time(session.seen_at.as_ref())),
        ("expires_at", time(session.expires_at.as_ref())),
    ])
}
