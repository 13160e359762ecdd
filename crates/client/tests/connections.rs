//! Connections that break during a wait: a server controlled by the tests, on real sockets.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{cell::RefCell, net::SocketAddr};

use bytes::{BufMut as _, Bytes, BytesMut};
use futures_util::FutureExt as _;
use h2::{RecvStream, server::SendResponse};
use http::{HeaderMap, Request, Response};
use nodkey_client::{Credential, Endpoints, NewTrusonafication, Nodkey};
use nodkey_proto::trusonafication::v1::{
    CreateTrusonaficationRequest, CreateTrusonaficationResponse, Status, Trusonafication, WatchResultsRequest, WatchResultsResponse,
};
use prost::Message;
use tokio::net::{TcpListener, TcpStream};

const ID: &str = "0198b1a2-0000-7000-8000-000000000001";

type Connection = h2::server::Connection<TcpStream, Bytes>;

async fn listening() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

fn client(address: SocketAddr) -> Nodkey {
    // `{"jti":"x"}`
    let credential = Credential::new("h.eyJqdGkiOiJ4In0.s", "secret").unwrap();
    Nodkey::connect(&Endpoints::single(&format!("http://{address}")), credential).unwrap()
}

async fn connection(listener: &TcpListener) -> Connection {
    h2::server::handshake(listener.accept().await.unwrap().0).await.unwrap()
}

/// The next call, with the name of its method.
async fn call(connection: &mut Connection) -> (String, Request<RecvStream>, SendResponse<Bytes>) {
    let (request, answer) = connection.accept().await.unwrap().unwrap();
    (request.uri().path().rsplit('/').next().unwrap().to_owned(), request, answer)
}

fn begun() -> Response<()> {
    Response::builder().header("content-type", "application/grpc").body(()).unwrap()
}

fn unimplemented(mut answer: SendResponse<Bytes>) {
    let mut response = begun();
    response.headers_mut().insert("grpc-status", "12".parse().unwrap());
    answer.send_response(response, true).unwrap();
}

fn framed(message: &impl Message) -> Bytes {
    let mut frame = BytesMut::new();
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.encoded_len()).unwrap());
    message.encode(&mut frame).unwrap();
    frame.freeze()
}

/// Writes what was sent, and closes the connection abruptly.
fn cut(mut connection: Connection) {
    let _ = connection.accept().now_or_never();
}

/// Continues until the client has read everything.
async fn served(mut connection: Connection) {
    while connection.accept().await.is_some() {}
}

fn trusonafication(status: Status) -> Trusonafication {
    Trusonafication { id: ID.into(), status: status.into(), ..Trusonafication::default() }
}

/// What the first connection's server did, nobody knows: the repetition has the same request id.
#[tokio::test]
async fn a_call_whose_connection_breaks_is_made_again_with_the_same_request_id() {
    let (listener, address) = listening().await;
    let ids = RefCell::new(Vec::new());
    let serve = async {
        for _ in 0..2 {
            let mut connection = connection(&listener).await;
            let (_, request, _answer) = call(&mut connection).await;
            let mut body = request.into_body();
            let sent = tokio::select! {
                sent = body.data() => sent.unwrap().unwrap(),
                _ = connection.accept() => panic!("one call"),
            };
            ids.borrow_mut().push(CreateTrusonaficationRequest::decode(&sent[5..]).unwrap().request_id);
        }
        let mut third = connection(&listener).await;
        let (_, _request, mut answer) = call(&mut third).await;
        let mut stream = answer.send_response(begun(), false).unwrap();
        let created = CreateTrusonaficationResponse { trusonafication: Some(trusonafication(Status::InProgress)), ..Default::default() };
        stream.send_data(framed(&created), false).unwrap();
        stream.send_trailers(HeaderMap::from_iter([("grpc-status".parse().unwrap(), "0".parse().unwrap())])).unwrap();
        served(third).await;
    };
    let nodkey = client(address);
    let created = tokio::select! {
        created = nodkey.create_trusonafication(NewTrusonafication::user("ada", "log in", "Acme")) => created.unwrap(),
        () = serve => panic!("it was answered"),
    };
    assert_eq!(created.trusonafication.id, ID);
    let ids = ids.into_inner();
    assert!(!ids[0].is_empty() && ids[0] == ids[1], "{ids:?}");
}

#[tokio::test]
async fn a_shared_stream_whose_connection_breaks_is_picked_up_on_another() {
    let (listener, address) = listening().await;
    let serve = async {
        let mut first = connection(&listener).await;
        let (method, _request, mut answer) = call(&mut first).await;
        assert_eq!(method, "WatchResults");
        let _stream = answer.send_response(begun(), false).unwrap();
        cut(first);
        let mut second = connection(&listener).await;
        let (_, request, mut answer) = call(&mut second).await;
        let mut body = request.into_body();
        let asked = tokio::select! {
            asked = body.data() => asked.unwrap().unwrap(),
            _ = second.accept() => panic!("one call"),
        };
        assert_eq!(WatchResultsRequest::decode(&asked[5..]).unwrap().id, ID);
        let mut stream = answer.send_response(begun(), false).unwrap();
        let result = WatchResultsResponse { id: ID.into(), trusonafication: Some(trusonafication(Status::Accepted)), error: None };
        stream.send_data(framed(&result), false).unwrap();
        served(second).await;
    };
    let nodkey = client(address);
    let done = tokio::select! {
        done = nodkey.wait(ID) => done.unwrap(),
        () = serve => panic!("the wait goes on"),
    };
    assert_eq!(done.status(), Status::Accepted);
}

#[tokio::test]
async fn a_stream_of_its_own_whose_connection_breaks_is_picked_up_on_another() {
    let (listener, address) = listening().await;
    let serve = async {
        let mut first = connection(&listener).await;
        let (_, _request, answer) = call(&mut first).await;
        unimplemented(answer);
        let (method, _request, mut answer) = call(&mut first).await;
        assert_eq!(method, "WatchTrusonafication");
        let mut stream = answer.send_response(begun(), false).unwrap();
        stream.send_data(framed(&trusonafication(Status::InProgress)), false).unwrap();
        cut(first);
        let mut second = connection(&listener).await;
        let (_, _request, mut answer) = call(&mut second).await;
        let mut stream = answer.send_response(begun(), false).unwrap();
        stream.send_data(framed(&trusonafication(Status::Accepted)), false).unwrap();
        stream.send_trailers(HeaderMap::from_iter([("grpc-status".parse().unwrap(), "0".parse().unwrap())])).unwrap();
        served(second).await;
    };
    let nodkey = client(address);
    let done = tokio::select! {
        done = nodkey.wait(ID) => done.unwrap(),
        () = serve => panic!("the wait goes on"),
    };
    assert_eq!(done.status(), Status::Accepted);
}
