//! Pages of lists.

use tonic::Status;

use super::Admin;
use crate::output::{self, Record};

/// The maximum number of items on a page.
const MAX: i32 = 500;

/// The part of a list to show.
#[derive(Clone, Debug, clap::Args)]
pub struct PageArgs {
    /// Maximum number of items, 1 to 500
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(i32).range(1..=i64::from(MAX)))]
    page_size: i32,
    /// Token of the page to show, from the previous page
    #[arg(long, value_name = "TOKEN", default_value = "", hide_default_value = true)]
    page_token: String,
    /// All pages
    #[arg(long, conflicts_with = "page_size")]
    all: bool,
}

/// Fetches the requested pages and prints them. `fetch` is called with the size and the token of a page, and returns its records and the
/// next token.
pub async fn list<F>(admin: &Admin, page: PageArgs, columns: &[&str], fetch: F) -> anyhow::Result<()>
where
    F: AsyncFnMut(i32, String) -> Result<(Vec<Record>, String), Status>,
{
    let (records, next) = collect(page, fetch).await?;
    output::page(admin.json, columns, &records, &next)
}

async fn collect<F>(page: PageArgs, mut fetch: F) -> Result<(Vec<Record>, String), nodkey_client::Error>
where
    F: AsyncFnMut(i32, String) -> Result<(Vec<Record>, String), Status>,
{
    let size = if page.all { MAX } else { page.page_size };
    let (mut records, mut next) = fetch(size, page.page_token).await?;
    while page.all && !next.is_empty() {
        let (more, after) = fetch(size, next).await?;
        records.extend(more);
        next = after;
    }
    Ok((records, next))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Three pages of one record each, named by their token.
    async fn fetch(_: i32, token: String) -> Result<(Vec<Record>, String), Status> {
        let next = match token.as_str() {
            "" => "b",
            "b" => "c",
            _ => "",
        };
        let record = output::record([("token", token.into())]);
        Ok((vec![record], next.to_owned()))
    }

    async fn tokens(token: &str, all: bool) -> (Vec<String>, String) {
        let page = PageArgs { page_size: 1, page_token: token.to_owned(), all };
        let (records, next) = collect(page, fetch).await.unwrap();
        (records.iter().map(|r| json!(r)["token"].as_str().unwrap().to_owned()).collect(), next)
    }

    #[tokio::test]
    async fn one_page_or_all_from_any_token_on() {
        assert_eq!(tokens("", false).await, (vec![String::new()], "b".to_owned()));
        assert_eq!(tokens("", true).await.0, ["", "b", "c"]);
        assert_eq!(tokens("b", true).await, (vec!["b".to_owned(), "c".to_owned()], String::new()));
    }
}
