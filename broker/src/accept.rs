//! Taking connections off listeners, as all edges do.

use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream, unix};

/// How long to wait when the process has no file descriptor left for one more connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Where connections come from.
pub trait Listener {
    /// A connection.
    type Stream;
    /// Where it comes from.
    type Peer;

    /// The next connection.
    fn poll_next(&self, context: &mut Context<'_>) -> Poll<io::Result<(Self::Stream, Self::Peer)>>;
}

impl Listener for TcpListener {
    type Stream = TcpStream;
    type Peer = SocketAddr;

    fn poll_next(&self, context: &mut Context<'_>) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        self.poll_accept(context)
    }
}

impl Listener for UnixListener {
    type Stream = UnixStream;
    type Peer = unix::SocketAddr;

    fn poll_next(&self, context: &mut Context<'_>) -> Poll<io::Result<(UnixStream, unix::SocketAddr)>> {
        self.poll_accept(context)
    }
}

/// Accepts connections and hands each over, for ever; not at all when there is no listener.
pub async fn accept<L: Listener>(listener: io::Result<L>, hand_over: impl Fn(L::Stream, L::Peer) -> io::Result<()>) {
    let listener = match listener {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "cannot listen"),
    };
    loop {
        match std::future::poll_fn(|context| listener.poll_next(context)).await {
            Ok((stream, peer)) => {
                if let Err(error) = hand_over(stream, peer) {
                    tracing::debug!(%error, "a connection was lost on its way to its shard");
                }
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept; trying again");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}
