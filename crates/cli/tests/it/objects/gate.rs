use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use anyhow::Result;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A way to a server, open for so many bytes.
#[derive(Clone)]
pub(super) struct Gate {
    pub(super) address: SocketAddr,
    left: Arc<AtomicI64>,
}

impl Gate {
    /// Opens a way to a server for all bytes.
    pub(super) async fn to(server: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let gate = Self { address: listener.local_addr()?, left: Arc::new(AtomicI64::new(i64::MAX)) };
        let own = gate.clone();
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let own = own.clone();
                // A connection that breaks is what the gate is for.
                tokio::spawn(async move { own.pass(connection, server).await.ok() });
            }
        });
        Ok(gate)
    }

    /// Lets so many more bytes to the server, and then nothing: the server is gone.
    pub(super) fn close_after(&self, bytes: i64) {
        self.left.store(bytes, Ordering::SeqCst);
    }

    /// Brings the server back.
    pub(super) fn open(&self) {
        self.left.store(i64::MAX, Ordering::SeqCst);
    }

    /// Says whether nothing passes any more.
    pub(super) fn is_closed(&self) -> bool {
        self.left.load(Ordering::SeqCst) <= 0
    }

    async fn pass(&self, mut client: TcpStream, server: SocketAddr) -> Result<()> {
        if self.is_closed() {
            return Ok(());
        }
        let mut server = TcpStream::connect(server).await?;
        let (mut asked, mut answered) = (vec![0; 8_192], vec![0; 8_192]);
        loop {
            tokio::select! {
                read = client.read(&mut asked) => {
                    let read = read?;
                    let left = self.left.fetch_sub(i64::try_from(read)?, Ordering::SeqCst);
                    if read == 0 || left <= i64::try_from(read)? {
                        return Ok(());
                    }
                    server.write_all(&asked[..read]).await?;
                }
                read = server.read(&mut answered) => {
                    let read = read?;
                    if read == 0 || self.is_closed() {
                        return Ok(());
                    }
                    client.write_all(&answered[..read]).await?;
                }
            }
        }
    }
}
