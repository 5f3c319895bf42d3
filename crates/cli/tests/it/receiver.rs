use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// A request that came: its headers and its body.
#[derive(Debug, Clone)]
pub(crate) struct Delivery {
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: Value,
}

/// Takes events; the first ones it answers badly.
#[derive(Debug, Clone)]
pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    deliveries: Arc<Mutex<Vec<Delivery>>>,
}

impl Receiver {
    /// Listens; the first request is answered with 500, the second with nothing at all.
    pub(crate) async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let receiver = Self { address: listener.local_addr()?, deliveries: Arc::default() };
        let own = receiver.clone();
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                // A connection that breaks is the sender's to mend.
                let _ = own.take(connection).await;
            }
        });
        Ok(receiver)
    }

    /// Returns what came so far.
    pub(crate) fn deliveries(&self) -> Vec<Delivery> {
        self.deliveries.lock().expect("no panic holds it").clone()
    }

    async fn take(&self, connection: TcpStream) -> Result<()> {
        let mut connection = BufReader::new(connection);
        let mut headers = HashMap::new();
        loop {
            let mut line = String::new();
            connection.read_line(&mut line).await?;
            match line.trim_end().split_once(": ") {
                Some((name, value)) => headers.insert(name.to_ascii_lowercase(), value.to_owned()),
                None if line.trim_end().is_empty() => break,
                None => None,
            };
        }
        let length = headers.get("content-length").context("a length")?.parse()?;
        let mut body = vec![0; length];
        connection.read_exact(&mut body).await?;
        let seen = {
            let mut deliveries = self.deliveries.lock().expect("no panic holds it");
            deliveries.push(Delivery { headers, body: serde_json::from_slice(&body)? });
            deliveries.len()
        };
        let answer: &[u8] = match seen {
            1 => b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
            2 => b"",
            _ => b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n",
        };
        connection.write_all(answer).await?;
        Ok(())
    }
}
