//! Taking connections off listeners, as all edges do.

use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll};
use std::time::Duration;

use rustix::net::sockopt;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream, unix};

/// How long to wait when the process has no file descriptor left for one more connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How long what was sent may go without an acknowledgement, or without room for more. A peer whose network has gone says nothing, and edges that send a
/// few bytes now and then would see the system take them for a quarter of an hour.
const UNACKNOWLEDGED: Duration = Duration::from_secs(60);
/// After so long without a byte either way the system asks whether the peer is there.
const QUIET: Duration = Duration::from_secs(60);

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

/// Has the system end a connection when its peer is gone. Not for edges whose clients may sleep for as long as they have agreed to.
///
/// # Errors
/// The system's; one that has gone already is found out by its first read, too.
pub fn watch(stream: &TcpStream) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    sockopt::set_tcp_user_timeout(stream, u32::try_from(UNACKNOWLEDGED.as_millis()).unwrap_or(u32::MAX))?;
    sockopt::set_tcp_keepidle(stream, QUIET)?;
    sockopt::set_tcp_keepintvl(stream, UNACKNOWLEDGED / 4)?;
    sockopt::set_socket_keepalive(stream, true)?;
    Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn peers_that_go_are_noticed() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = std::future::poll_fn(|context| listener.poll_next(context)).await.unwrap();
        watch(&stream).unwrap();
        assert!(sockopt::socket_keepalive(&stream).unwrap());
        assert_eq!(sockopt::tcp_keepidle(&stream).unwrap(), QUIET);
        #[cfg(target_os = "linux")]
        assert_eq!(u128::from(sockopt::tcp_user_timeout(&stream).unwrap()), UNACKNOWLEDGED.as_millis());
    }
}
