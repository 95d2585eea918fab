//! Taking connections off a listener.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use tokio::net::TcpStream;

/// How long to wait when the process has no file descriptor left for one more connection.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Accepts connections and hands each over, for ever.
pub async fn accept(listener: TcpListener, hand_over: impl Fn(TcpStream, SocketAddr) -> io::Result<()>) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "cannot listen"),
    };
    loop {
        match listener.accept().await {
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
