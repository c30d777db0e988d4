//! The thread, the socket and the accept loop under both stand-ins.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::oneshot;

mod body;

mod header;

mod received;

mod traffic;

pub(crate) use self::body::{Body, Closed};
pub(crate) use self::header::header;
pub use self::received::Received;
pub(crate) use self::received::read_body;
pub(crate) use self::traffic::{Traffic, Visit};

/// Simultaneous connects that wait for their accept instead of being refused.
const BACKLOG: u32 = 4096;

/// Where to listen, and on how many threads.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Listen {
    pub(crate) port: u16,
    pub(crate) threads: usize,
}

impl Default for Listen {
    fn default() -> Self {
        Self { port: 0, threads: 1 }
    }
}

/// What answers the requests of a [`Server`].
pub(crate) trait Answerer: Send + Sync + 'static {
    /// Answers one request, or closes its connection. The future is dropped when the client
    /// leaves first.
    fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
        visit: Visit,
    ) -> impl Future<Output = Result<Response<Body>, Closed>> + Send;
}

/// An HTTP server on 127.0.0.1 with a thread of its own, stopped when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    address: SocketAddr,
    runtime: Handle,
    traffic: Arc<Traffic>,
    stop: Option<oneshot::Sender<Infallible>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub(crate) async fn start(
        listen: Listen,
        answerer: Arc<impl Answerer>,
        traffic: Arc<Traffic>,
    ) -> io::Result<Self> {
        let runtime = runtime(listen.threads)?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel();
        let (bound, when_bound) = oneshot::channel();

        let counted = Arc::clone(&traffic);
        let thread = std::thread::Builder::new().name("testkit".into()).spawn(move || {
            runtime.block_on(async {
                match bind(listen.port) {
                    Ok((listener, address)) => {
                        // Only a start that was given up does not listen here.
                        let _ = bound.send(Ok(address));
                        let accepting = tokio::spawn(accept(listener, answerer, counted));
                        // Nothing is ever sent: it ends when the sender is dropped.
                        let _ = stopped.await;
                        accepting.abort();
                    }
                    Err(error) => {
                        let _ = bound.send(Err(error));
                    }
                }
            });
        })?;

        let address = when_bound.await.map_err(io::Error::other)??;
        Ok(Self { address, runtime: handle, traffic, stop: Some(stop), thread: Some(thread) })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Runs on the server's own runtime, so that the clock of the caller's does not matter.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> T {
        self.runtime.spawn(task).await.expect("the server outlives those who wait on it")
    }

    pub(crate) async fn wait_for(&self, at_least: usize, what: &str, count: fn(&Traffic) -> usize) {
        if !self.run(Arc::clone(&self.traffic).reach(at_least, count)).await {
            let seen = count(&self.traffic);
            panic!("waited {:?} for {at_least} {what}, saw {seen}", crate::PATIENCE);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic in there has been printed, and failed the request it happened in.
            let _ = thread.join();
        }
    }
}

fn runtime(threads: usize) -> io::Result<Runtime> {
    let mut builder = if threads > 1 {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(threads);
        builder
    } else {
        Builder::new_current_thread()
    };
    builder.enable_all().build()
}

fn bind(port: u16) -> io::Result<(TcpListener, SocketAddr)> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind((Ipv4Addr::LOCALHOST, port).into())?;
    let listener = socket.listen(BACKLOG)?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

async fn accept(listener: TcpListener, answerer: Arc<impl Answerer>, traffic: Arc<Traffic>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                traffic.connected();
                let serving = serve(stream, Arc::clone(&answerer), Arc::clone(&traffic));
                tokio::spawn(serving);
            }
            // Out of file descriptors, most likely: the connection waits in the backlog.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

async fn serve(stream: TcpStream, answerer: Arc<impl Answerer>, traffic: Arc<Traffic>) {
    // Without it a small answer may wait for the acknowledgement of the one before.
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request| {
        let visit = Visit::begin(Arc::clone(&traffic));
        Arc::clone(&answerer).answer(request, visit)
    });
    // Clients that leave, and behaviours that close the connection, end here as errors.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

/// Locks, whoever panicked while holding it: a failed test does not make the counts wrong.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
