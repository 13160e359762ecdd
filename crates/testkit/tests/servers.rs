//! Private servers, and the servers of the test run.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use nodkey_testkit::{TestNats, TestPostgres};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
};

#[tokio::test]
async fn postgresql_keeps_what_was_committed_when_it_is_stopped_at_once() {
    let server = TestPostgres::start_with(&[("max_connections", "17")]);
    server.execute("postgres", "CREATE TABLE kept AS SELECT 1 AS one").await;
    server.stop();
    assert!(TcpStream::connect(server.address()).await.is_err());
    server.restart(&[]);
    server.execute("postgres", "INSERT INTO kept SELECT one FROM kept").await;
}

/// The first message of a nats-server: its limits.
async fn greeting(address: std::net::SocketAddr) -> String {
    let mut line = String::new();
    BufReader::new(TcpStream::connect(address).await.unwrap()).read_line(&mut line).await.unwrap();
    line
}

#[tokio::test]
async fn a_nats_server_has_the_limits_that_are_shipped_before_and_after_a_restart() {
    let server = TestNats::start();
    for _ in 0..2 {
        let greeting = greeting(server.address()).await;
        assert!(greeting.contains(r#""max_payload":8388608"#) && greeting.contains(r#""jetstream":true"#), "{greeting}");
        server.stop();
        assert!(TcpStream::connect(server.address()).await.is_err());
        server.restart();
    }
}

#[tokio::test]
async fn the_nats_server_of_the_run_has_the_settings_that_are_shipped() {
    let monitor = nodkey_testkit::nats_monitor_url();
    let mut stream = TcpStream::connect(monitor.strip_prefix("http://").unwrap()).await.unwrap();
    stream.write_all(b"GET /varz HTTP/1.0\r\n\r\n").await.unwrap();
    let mut settings = String::new();
    stream.read_to_string(&mut settings).await.unwrap();
    for setting in [r#""sync_always": true"#, r#""max_payload": 8388608"#, r#""max_memory": 67108864"#] {
        assert!(settings.contains(setting), "{setting}: {settings}");
    }
}
