//! Guarantees of the proxy that other tests rely on.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{io::ErrorKind, net::SocketAddr, time::Duration};

use nodkey_testkit::{Direction, Proxy};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    time::Instant,
};

/// Longer than any operation takes on one machine.
const LONG: Duration = Duration::from_secs(10);
/// Long enough for anything forwarded to arrive.
const SHORT: Duration = Duration::from_millis(100);

/// Answers each byte with its own byte.
async fn target(name: u8) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                while stream.read_u8().await.is_ok() {
                    if stream.write_u8(name).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

async fn call(stream: &mut TcpStream) -> std::io::Result<u8> {
    stream.write_u8(0).await?;
    tokio::time::timeout(LONG, stream.read_u8()).await.unwrap()
}

async fn is_silent(stream: &mut TcpStream) -> bool {
    tokio::time::timeout(SHORT, stream.read_u8()).await.is_err()
}

#[tokio::test]
async fn bytes_reach_the_target_and_its_answers_come_back() {
    let proxy = Proxy::start([target(b'a').await]);
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    for _ in 0..3 {
        assert_eq!(call(&mut stream).await.unwrap(), b'a');
    }
}

#[tokio::test]
async fn much_is_forwarded_whole_and_the_end_of_it_too() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = Proxy::start([listener.local_addr().unwrap()]);
    let all: Vec<u8> = (0..4_000_000_u32).map(|i| i.to_le_bytes()[0]).collect();
    let mut client = TcpStream::connect(proxy.address()).await.unwrap();
    let (mut server, _) = listener.accept().await.unwrap();
    let mut received = Vec::new();
    let send = async {
        client.write_all(&all).await.unwrap();
        client.shutdown().await.unwrap();
    };
    let ((), read) = tokio::join!(send, server.read_to_end(&mut received));
    read.unwrap();
    assert!(received == all);
    // One side has closed; the other may continue.
    server.write_all(b"done").await.unwrap();
    drop(server);
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    assert_eq!(answer, "done");
}

#[tokio::test]
async fn connections_go_to_the_targets_in_turn_and_past_one_that_refuses() {
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let proxy = Proxy::start([target(b'a').await, gone, target(b'b').await]);
    let mut names = Vec::new();
    for _ in 0..6 {
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        names.push(call(&mut stream).await.unwrap());
    }
    assert_eq!(names, b"abbabb");
    proxy.set_targets([target(b'c').await]);
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    assert_eq!(call(&mut stream).await.unwrap(), b'c');
}

#[tokio::test]
async fn a_cut_resets_the_connections_of_now_and_no_later_ones() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = Proxy::start([listener.local_addr().unwrap()]);
    let mut client = TcpStream::connect(proxy.address()).await.unwrap();
    let (mut server, _) = listener.accept().await.unwrap();
    client.write_u8(b'x').await.unwrap();
    assert_eq!(server.read_u8().await.unwrap(), b'x');
    proxy.cut();
    assert_eq!(client.read_u8().await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(server.read_u8().await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    proxy.set_targets([target(b'a').await]);
    assert_eq!(call(&mut TcpStream::connect(proxy.address()).await.unwrap()).await.unwrap(), b'a');
}

#[tokio::test]
async fn while_it_refuses_new_connections_those_there_are_go_on() {
    let proxy = Proxy::start([target(b'a').await]);
    let mut before = TcpStream::connect(proxy.address()).await.unwrap();
    assert_eq!(call(&mut before).await.unwrap(), b'a');
    proxy.refuse().await;
    proxy.refuse().await;
    assert_eq!(TcpStream::connect(proxy.address()).await.unwrap_err().kind(), ErrorKind::ConnectionRefused);
    assert_eq!(call(&mut before).await.unwrap(), b'a');
    proxy.heal();
    assert_eq!(call(&mut TcpStream::connect(proxy.address()).await.unwrap()).await.unwrap(), b'a');
}

#[tokio::test]
async fn a_paused_connection_stays_open_and_delivers_everything_later() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = Proxy::start([listener.local_addr().unwrap()]);
    let mut client = TcpStream::connect(proxy.address()).await.unwrap();
    let (mut server, _) = listener.accept().await.unwrap();
    proxy.pause_both();
    client.write_u8(b'x').await.unwrap();
    server.write_u8(b'y').await.unwrap();
    assert!(is_silent(&mut client).await && is_silent(&mut server).await);
    proxy.heal();
    assert_eq!((client.read_u8().await.unwrap(), server.read_u8().await.unwrap()), (b'y', b'x'));
    // The end of a side is not forwarded either: this is what half-open means.
    proxy.pause(Direction::ToTarget);
    drop(client);
    assert!(is_silent(&mut server).await);
    proxy.heal();
    assert!(server.read_u8().await.is_err());
}

#[tokio::test]
async fn a_stranded_connection_stays_open_and_silent_and_new_ones_work() {
    let proxy = Proxy::start([target(b'a').await]);
    let mut before = TcpStream::connect(proxy.address()).await.unwrap();
    assert_eq!(call(&mut before).await.unwrap(), b'a');
    proxy.strand();
    before.write_u8(0).await.unwrap();
    assert_eq!(call(&mut TcpStream::connect(proxy.address()).await.unwrap()).await.unwrap(), b'a');
    proxy.heal();
    assert!(is_silent(&mut before).await);
}

#[tokio::test]
async fn one_direction_is_paused_without_the_other() {
    let proxy = Proxy::start([target(b'a').await]);
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    proxy.pause(Direction::FromTarget);
    stream.write_u8(0).await.unwrap();
    assert!(is_silent(&mut stream).await);
    // A connection that is cut while it is paused ends nevertheless.
    proxy.cut();
    assert_eq!(stream.read_u8().await.unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_delay_holds_for_each_direction() {
    let proxy = Proxy::start([target(b'a').await]);
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    proxy.delay(Direction::ToTarget, Duration::from_millis(150));
    proxy.delay(Direction::FromTarget, Duration::from_millis(50));
    let begun = Instant::now();
    call(&mut stream).await.unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(200), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn what_goes_through_it_ends_with_it() {
    let proxy = Proxy::start([target(b'a').await]);
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    call(&mut stream).await.unwrap();
    let address = proxy.address();
    drop(proxy);
    assert_eq!(stream.read_u8().await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    while TcpStream::connect(address).await.is_ok() {}
}
