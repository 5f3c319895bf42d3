//! A faulty network between the store and the engine: a TCP proxy that cuts, stalls or refuses.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What the network does to a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// Closes at once.
    Refuse,
    /// Lets the request through, and drops the connection instead of the answer.
    LoseAnswer,
    /// Cuts the connection after so many bytes of the answer.
    CutAnswer(usize),
    /// Cuts the connection after so many bytes of the request.
    CutRequest(usize),
    /// Takes the request and answers nothing, for ever.
    Stall,
}

/// A running proxy.
pub(crate) struct Proxy {
    pub(crate) url: String,
    fault: watch::Sender<Fault>,
    connections: Arc<AtomicU64>,
}

impl Proxy {
    pub(crate) async fn before(engine: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("its address"));
        let (fault, faults) = watch::channel(Fault::None);
        let connections = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&connections);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                counter.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(pass(client, engine, faults.clone()));
            }
        });
        Self { url, fault, connections }
    }

    /// From now on does this to every connection, those that are open included.
    pub(crate) fn set(&self, fault: Fault) {
        self.fault.send_replace(fault);
    }

    pub(crate) fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }
}

/// Passes one connection on until the fault changes, which breaks it.
async fn pass(mut client: TcpStream, engine: SocketAddr, mut faults: watch::Receiver<Fault>) {
    let fault = *faults.borrow_and_update();
    let passing = async {
        let Ok(mut server) = TcpStream::connect(engine).await else { return };
        match fault {
            Fault::None => drop(copy_bidirectional(&mut client, &mut server).await),
            Fault::Refuse => {}
            Fault::LoseAnswer => lose_answer(&mut client, &mut server).await,
            Fault::CutAnswer(bytes) => cut(&mut server, &mut client, bytes).await,
            Fault::CutRequest(bytes) => cut(&mut client, &mut server, bytes).await,
            Fault::Stall => drop(tokio::io::copy(&mut client, &mut tokio::io::sink()).await),
        }
    };
    tokio::select! {
        () = passing => {}
        _ = faults.changed() => {}
    }
}

/// Passes both ways, and cuts when `from` has sent so many bytes.
async fn cut(from: &mut TcpStream, to: &mut TcpStream, bytes: usize) {
    let (mut from_read, mut from_write) = from.split();
    let (mut to_read, mut to_write) = to.split();
    let counted = async {
        let mut left = bytes;
        let mut piece = [0; 4096];
        while left > 0 {
            let room = left.min(piece.len());
            let Ok(read @ 1..) = from_read.read(&mut piece[..room]).await else { return };
            if to_write.write_all(&piece[..read]).await.is_err() {
                return;
            }
            left -= read;
        }
    };
    tokio::select! {
        () = counted => {}
        _ = tokio::io::copy(&mut to_read, &mut from_write) => {}
    }
}

/// Passes the request on, waits for the answer's first byte, and drops it.
async fn lose_answer(client: &mut TcpStream, server: &mut TcpStream) {
    let (mut client_read, _) = client.split();
    let (mut server_read, mut server_write) = server.split();
    let mut first = [0; 1];
    tokio::select! {
        _ = tokio::io::copy(&mut client_read, &mut server_write) => {}
        _ = server_read.read(&mut first) => {}
    }
}
