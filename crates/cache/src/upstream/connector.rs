//! Opens connections to web servers: TCP, and TLS as [`super::trust`] has it. The whole of it is
//! under one timeout, which no client library arms by itself. What comes over them is counted on the upstream's line.

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::Uri;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::{client::legacy::connect::HttpConnector, rt::TokioIo};
use tokio::net::TcpStream;
use tower_service::Service;

use super::{metered::Metered, trust::Trust};
use crate::{line::shared::Line, options::UpstreamOptions};

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
    Plain(Tcp),
    Tls(HttpsConnector<Tcp>),
}

/// What is under TLS, if that is spoken.
#[derive(Clone)]
struct Tcp {
    connector: HttpConnector,
    line: Arc<Line>,
    is_tls: bool,
}

type Plain = TokioIo<Metered<TcpStream>>;
type Stream = MaybeHttpsStream<Plain>;
type BoxError = Box<dyn std::error::Error + Send + Sync>;

impl Connector {
    /// Reads whom to believe only if that will be needed.
    pub(crate) fn new(options: &UpstreamOptions, line: &Arc<Line>) -> io::Result<Self> {
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        connector.set_nodelay(true);
        connector.set_keepalive(Some(KEEPALIVE));
        let is_tls = options.location.is_tls();
        let tcp = Tcp { connector, line: line.clone(), is_tls };
        let inner = if is_tls {
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
            Inner::Plain(tcp) => tcp.poll_ready(context),
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

impl Service<Uri> for Tcp {
    type Response = Plain;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Plain, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.connector.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let (connecting, line, is_tls) = (self.connector.call(uri), self.line.clone(), self.is_tls);
        Box::pin(async move { Ok(TokioIo::new(Metered::new(connecting.await?.into_inner(), &line, is_tls))) })
    }
}
