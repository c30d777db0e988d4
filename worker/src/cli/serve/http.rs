//! Connections: how many, and how long one may keep the server waiting.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{sleep, timeout},
};

use crate::batch::Stop;

/// Connections at once; more wait until one is closed.
pub(super) const MAX_CONNECTIONS: usize = 256;

/// How long a request's head may take to arrive, and how long a connection may be silent before it.
const HEAD_WITHIN: Duration = Duration::from_secs(10);

/// The largest head.
const MAX_HEAD_BYTES: usize = 64 * 1024;

/// The pause after a connection could not be accepted: there are too many open files, for instance.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// Answers until `stop` drains, and then what is under way for at most `drain`, or until what was
/// interrupted has had its time.
pub(super) async fn serve(listener: TcpListener, router: Router, stop: &Stop, drain: Duration) {
    let connections = GracefulShutdown::new();
    tokio::select! {
        never = accept_all(&listener, &router, &connections) => match never {},
        () = stop.draining() => {}
    }
    drop(listener);
    let all_answered = tokio::select! {
        answered = timeout(drain, connections.shutdown()) => answered.is_ok(),
        () = stop.tries_over() => false,
    };
    if !all_answered {
        tracing::warn!("requests were cut off: they did not end in time");
    }
}

async fn accept_all(
    listener: &TcpListener,
    router: &Router,
    connections: &GracefulShutdown,
) -> Infallible {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let place = Arc::clone(&places).acquire_owned().await;
        match listener.accept().await {
            Ok((stream, _)) => {
                let connection = connections.watch(connection(stream, router.clone()));
                tokio::spawn(async move {
                    let _place = place;
                    // A client that breaks off is no news.
                    let _ = connection.await;
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection cannot be accepted");
                sleep(ACCEPT_AGAIN).await;
            }
        }
    }
}

type Connection = http1::Connection<TokioIo<TcpStream>, TowerToHyperService<Router>>;

fn connection(stream: TcpStream, router: Router) -> Connection {
    // Answers are whole: nothing is gained by waiting for more.
    let _ = stream.set_nodelay(true);
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
}
