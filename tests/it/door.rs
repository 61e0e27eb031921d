//! The port of a server that tests play: it can be closed and opened again, and stays the same.

use std::net::SocketAddr;
use std::sync::Arc;

use strongroom::server::{Limits, Tls, serve};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use warp::filters::BoxedFilter;
use warp::reply::Response;

pub struct Door {
    address: SocketAddr,
    open: Option<(CancellationToken, JoinHandle<()>)>,
}

impl Default for Door {
    fn default() -> Self {
        Self { address: ([127, 0, 0, 1], 0).into(), open: None }
    }
}

impl Door {
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// From here on connections are refused.
    pub async fn close(&mut self) {
        if let Some((end, served)) = self.open.take() {
            end.cancel();
            served.await.expect("it ends");
        }
    }

    pub async fn open(&mut self, tls: Option<Arc<Tls>>, routes: BoxedFilter<(Response,)>) {
        let listener = TcpListener::bind(self.address).await.expect("its port");
        self.address = listener.local_addr().expect("an address");
        let end = CancellationToken::new();
        let served = tokio::spawn(serve(listener, tls, routes, Limits::default(), end.clone()));
        self.open = Some((end, served));
    }
}
