use std::net::SocketAddr;

use anyhow::{Context, Result};
use tidegate_server::Listeners;
use tokio::net::TcpListener;

use crate::settings::Listen;

/// The bound listeners and their real addresses.
pub(super) struct Doors {
    pub(super) listeners: Listeners,
    pub(super) http: SocketAddr,
    pub(super) otlp_http: SocketAddr,
    otlp_grpc: SocketAddr,
}

/// Binds every door, so that a port in use is told before anything else happens.
pub(super) async fn open(listen: &Listen) -> Result<Doors> {
    let http = bind(&listen.http, "--http").await?;
    let otlp_http = bind(&listen.otlp_http, "--otlp-http").await?;
    let otlp_grpc = bind(&listen.otlp_grpc, "--otlp-grpc").await?;
    Ok(Doors {
        http: http.local_addr()?,
        otlp_http: otlp_http.local_addr()?,
        otlp_grpc: otlp_grpc.local_addr()?,
        listeners: Listeners { http, otlp_http, otlp_grpc },
    })
}

impl Doors {
    /// Names every address, for people.
    pub(super) fn addresses(&self, listen: &Listen) -> Vec<(&'static str, String)> {
        let mut addresses = vec![
            ("API and web page", format!("http://{}", self.http)),
            ("OTLP/HTTP", format!("http://{}", self.otlp_http)),
            ("OTLP/gRPC", format!("http://{}", self.otlp_grpc)),
        ];
        if !listen.clickhouse_http.is_empty() {
            addresses.push(("ClickHouse HTTP", format!("http://{}", listen.clickhouse_http)));
        }
        addresses
    }
}

async fn bind(address: &str, flag: &str) -> Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        format!("cannot listen on {address}; another program may use the port: stop it, or choose another with {flag}")
    })
}
