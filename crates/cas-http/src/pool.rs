//! Connections that wait for the next request. There is one host and one request at a time on each, so a stack of them is all it takes.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use http::{Request, Response, Uri};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::config::PoolOptions;
use crate::connect::{ConnectFailure, Connector};
use crate::endpoint::Endpoint;
use crate::error::ErrorKind;
use crate::send_body::SendBody;
use crate::transport::Line;

/// Connections to one host: those that wait, and the way to more.
pub(crate) struct Pool {
    connector: Connector,
    waiting: Arc<Waiting>,
}

/// The connections that wait, the one that was busy last on top.
struct Waiting {
    options: PoolOptions,
    stack: Mutex<Stack>,
}

#[derive(Default)]
struct Stack {
    connections: Vec<(Connection, Instant)>,
    sweeper: Option<JoinHandle<()>>,
}

/// A connection, and what ends it.
struct Connection {
    sender: SendRequest<SendBody>,
    line: Line,
    /// Whether it leads to a proxy that takes whole requests.
    proxied: bool,
}

/// A connection during one exchange. It goes back to those that wait when [`give_back`](Self::give_back) is called, and is cut otherwise.
pub(crate) struct Lease {
    connection: Option<Connection>,
    waiting: Weak<Waiting>,
    spoiled: bool,
}

impl Pool {
    pub(crate) fn new(connector: Connector, options: PoolOptions) -> Self {
        Pool { connector, waiting: Arc::new(Waiting { options, stack: Mutex::default() }) }
    }

    /// One of the connections that wait, for one exchange.
    pub(crate) fn waiting(&self, now: Instant) -> Option<Lease> {
        self.waiting.take(now).map(|connection| self.lease(connection))
    }

    /// A new connection to the host of this URI, for one exchange.
    pub(crate) async fn connect(&self, uri: Uri) -> Result<Lease, ConnectFailure> {
        let transport = self.connector.connect(uri).await?;
        let (line, proxied) = (transport.line(), transport.is_proxied());
        let mut http = http1::Builder::new();
        // The buffer bounds an endless head; what fits in and is more than we take is refused afterwards. A bound of our own for the number of
        // headers would have hyper prepare as many places for each answer.
        http.max_buf_size(512 * 1024);
        let handshake = http.handshake(transport).await;
        let failed = |error| ConnectFailure::new(ErrorKind::Connect, "no HTTP connection", Box::new(error));
        let (sender, connection) = handshake.map_err(failed)?;
        // How it ends is told to the exchange that is under way then, if there is one.
        tokio::spawn(async { _ = connection.await });
        Ok(self.lease(Connection { sender, line, proxied }))
    }

    fn lease(&self, connection: Connection) -> Lease {
        Lease { connection: Some(connection), waiting: Arc::downgrade(&self.waiting), spoiled: false }
    }
}

impl Lease {
    /// Sends a request, whose URI is what a server wants to see: path and query. The answer's body arrives as long as the lease lives.
    pub(crate) fn send(
        &mut self,
        endpoint: &Endpoint,
        mut request: Request<SendBody>,
    ) -> impl Future<Output = Result<Response<Incoming>, hyper::Error>> + 'static {
        let connection = self.connection.as_mut().expect("a lease has its connection until it is given back");
        if connection.proxied {
            *request.uri_mut() = endpoint.uri(request.uri().path_and_query());
        }
        connection.sender.send_request(request)
    }

    /// What ends the connection.
    pub(crate) fn line(&self) -> Option<&Line> {
        self.connection.as_ref().map(|connection| &connection.line)
    }

    /// Lets this exchange be the last on its connection.
    pub(crate) fn spoil(&mut self) {
        self.spoiled = true;
    }

    /// The exchange is over, and nothing was odd about it: the connection waits for the next.
    pub(crate) fn give_back(mut self) {
        if self.spoiled {
            return;
        }
        let Some(mut connection) = self.connection.take() else { return };
        let waiting = std::mem::take(&mut self.waiting);
        if connection.sender.is_ready() {
            Waiting::put(&waiting, connection);
        } else if let Ok(runtime) = Handle::try_current() {
            // The last bytes are here, and the connection's own task has yet to notice.
            runtime.spawn(async move {
                if connection.sender.ready().await.is_ok() {
                    Waiting::put(&waiting, connection);
                }
            });
        }
    }
}

/// Whatever is still under way is of no use to anybody.
impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(connection) = &self.connection {
            connection.line.cut();
        }
    }
}

impl Waiting {
    fn stack(&self) -> std::sync::MutexGuard<'_, Stack> {
        self.stack.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, now: Instant) -> Option<Connection> {
        let mut stack = self.stack();
        while let Some((connection, since)) = stack.connections.pop() {
            if self.is_good(&connection, since, now) {
                return Some(connection);
            }
        }
        None
    }

    fn put(waiting: &Weak<Self>, connection: Connection) {
        let Some(this) = waiting.upgrade() else { return };
        let PoolOptions { max_idle, idle_timeout, .. } = this.options;
        let mut stack = this.stack();
        if stack.connections.len() >= max_idle {
            return;
        }
        stack.connections.push((connection, Instant::now()));
        if stack.sweeper.as_ref().is_none_or(JoinHandle::is_finished)
            && let Ok(runtime) = Handle::try_current()
        {
            stack.sweeper = Some(runtime.spawn(sweep(waiting.clone(), idle_timeout)));
        }
    }

    fn is_good(&self, connection: &Connection, since: Instant, now: Instant) -> bool {
        now.duration_since(since) < self.options.idle_timeout && connection.sender.is_ready()
    }
}

/// Closes the connections that have waited for too long, as long as there are any.
async fn sweep(waiting: Weak<Waiting>, idle_timeout: Duration) {
    loop {
        tokio::time::sleep(idle_timeout).await;
        let Some(waiting) = waiting.upgrade() else { return };
        let (mut stack, now) = (waiting.stack(), Instant::now());
        stack.connections.retain(|(connection, since)| waiting.is_good(connection, *since, now));
        if stack.connections.is_empty() {
            // The next connection that waits starts another.
            stack.sweeper = None;
            return;
        }
    }
}
