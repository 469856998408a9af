//! Opens connections to web servers: TCP, and TLS as [`super::trust`] has it. The whole of it is
//! under one timeout, which no client library arms by itself.

use std::{
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use http::Uri;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::{client::legacy::connect::HttpConnector, rt::TokioIo};
use tokio::net::TcpStream;
use tower_service::Service;

use super::trust::Trust;
use crate::options::UpstreamOptions;

/// A dead peer on an idle pooled connection is noticed after about this.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// Makes connections; clones share the TLS sessions.
#[derive(Clone)]
pub(crate) struct Connector {
    inner: Inner,
    timeout: Duration,
}

#[derive(Clone)]
enum Inner {
    Plain(HttpConnector),
    Tls(HttpsConnector<HttpConnector>),
}

type Stream = MaybeHttpsStream<TokioIo<TcpStream>>;
type BoxError = Box<dyn std::error::Error + Send + Sync>;

impl Connector {
    /// Reads whom to believe only if that will be needed.
    pub(crate) fn new(options: &UpstreamOptions) -> io::Result<Self> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(KEEPALIVE));
        let inner = if options.location.is_tls() {
            let trust = Trust::read(options)
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, format!("{error}; {}", error.advice())))?;
            let builder = HttpsConnectorBuilder::new().with_tls_config(trust.config()?);
            Inner::Tls(builder.https_only().enable_http1().wrap_connector(tcp))
        } else {
            Inner::Plain(tcp)
        };
        let timeout = options.connect_timeout;
        Ok(Self { inner, timeout })
    }
}

impl Service<Uri> for Connector {
    type Response = Stream;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Stream, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        match &mut self.inner {
            Inner::Plain(tcp) => tcp.poll_ready(context).map_err(Into::into),
            Inner::Tls(tls) => tls.poll_ready(context),
        }
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let timeout = self.timeout;
        let connect: Self::Future = match &mut self.inner {
            Inner::Plain(tcp) => {
                let connecting = tcp.call(uri);
                Box::pin(async move { Ok(MaybeHttpsStream::Http(connecting.await?)) })
            }
            Inner::Tls(tls) => Box::pin(tls.call(uri)),
        };
        Box::pin(async move {
            match tokio::time::timeout(timeout, connect).await {
                Ok(connected) => connected,
                Err(_) => Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    format!("no connection within {} s", timeout.as_secs_f32()),
                )
                .into()),
            }
        })
    }
}
