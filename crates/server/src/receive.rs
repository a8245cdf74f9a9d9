//! Where other tools tell of alerts: over TLS, wherever others could listen.

use std::net::SocketAddr;
use std::path::PathBuf;

#[cfg(feature = "observe")]
pub(crate) use listen::listen;

/// An address at which other tools may tell of alerts. What proves that they may does not pass there in clear.
#[derive(Debug, Clone)]
pub struct Receive {
    address: SocketAddr,
    certificate: Option<Certificate>,
}

/// A certificate in files, in PEM.
#[derive(Debug, Clone)]
pub struct Certificate {
    /// The certificate, and those that lead to its authority.
    pub cert: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

impl Receive {
    /// With TLS where there is a certificate.
    ///
    /// # Errors
    /// There is none, and other machines reach the address: what is wrong and what to do, in words.
    pub fn new(address: SocketAddr, certificate: Option<Certificate>) -> Result<Self, String> {
        if certificate.is_none() && !address.ip().is_loopback() {
            return Err(format!(
                "--receive {address} can be reached by others, and keys would pass there in clear: \
                 give --receive-cert and --receive-key, or take 127.0.0.1 and put a proxy with TLS before it"
            ));
        }
        Ok(Self { address, certificate })
    }

    /// Where.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What TLS is spoken with.
    pub fn certificate(&self) -> Option<&Certificate> {
        self.certificate.as_ref()
    }
}

#[cfg(feature = "observe")]
mod listen {
    use std::io;
    use std::pin::pin;
    use std::sync::Arc;
    use std::time::Duration;

    use axum::Router;
    use axum::serve::Listener;
    use daybook_edge::FileTls;
    use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
    use hyper_util::server::conn::auto::Builder;
    use hyper_util::service::TowerToHyperService;
    use tokio::io::{AsyncRead, AsyncWrite};
    use tokio::net::TcpListener;
    use tokio::sync::Semaphore;
    use tokio::time::timeout;

    use super::Receive;
    use crate::App;

    /// Connections at once; others wait.
    const MOST_CONNECTIONS: usize = 256;
    /// Requests of one connection at once, over HTTP/2.
    const MOST_STREAMS: u32 = 2;
    /// How long a client may take for the head of a request, or do nothing between two.
    const HEAD_WITHIN: Duration = Duration::from_secs(10);
    /// How long a connection takes new requests, so that nobody has its place for good.
    const LONGEST: Duration = Duration::from_mins(1);
    /// How long the last requests of one may take then.
    const END_WITHIN: Duration = Duration::from_mins(1);

    /// Takes in what other tools tell of: each of them proves with a key or a signature that it may.
    ///
    /// # Errors
    /// The address cannot be had, or the certificate cannot be used.
    pub(crate) async fn listen(app: &App, receive: &Receive) -> io::Result<impl Future<Output = ()> + Send + 'static> {
        let tls = receive.certificate().map(|files| FileTls::open(&files.cert, &files.key)).transpose();
        let tls = tls.map_err(io::Error::other)?.map(Arc::new);
        let listener = TcpListener::bind(receive.address()).await?;
        let routes = crate::observe::receiving().with_state(app.clone());
        Ok(accept(listener, tls, routes, MOST_CONNECTIONS))
    }

    /// Accepts so many connections at once. A client that is slow keeps no other waiting while there is room.
    async fn accept(mut listener: TcpListener, tls: Option<Arc<FileTls>>, routes: Router, most: usize) {
        let places = Arc::new(Semaphore::new(most));
        loop {
            let place = places.clone().acquire_owned().await.expect("it is never closed");
            let (stream, _) = Listener::accept(&mut listener).await;
            let (tls, routes) = (tls.clone(), routes.clone());
            tokio::spawn(async move {
                match tls {
                    Some(tls) => {
                        if let Some(stream) = tls.accept(stream).await {
                            serve(stream, routes).await;
                        }
                    }
                    None => serve(stream, routes).await,
                }
                // It is had for as long as the connection lives.
                drop(place);
            });
        }
    }

    /// Serves a connection until it ends, or was there for long enough.
    async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, routes: Router) {
        let mut builder = Builder::new(TokioExecutor::new());
        builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_WITHIN);
        builder.http2().timer(TokioTimer::new()).max_concurrent_streams(MOST_STREAMS);
        let service = TowerToHyperService::new(routes);
        let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
        if timeout(LONGEST, connection.as_mut()).await.is_ok() {
            return;
        }
        connection.as_mut().graceful_shutdown();
        // Whatever is not over then is cut off.
        let _ = timeout(END_WITHIN, connection).await;
    }

    #[cfg(test)]
    mod tests {
        use axum::routing::get;
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        use tokio::net::TcpStream;

        use super::*;

        #[tokio::test]
        async fn a_connection_has_its_place_until_it_ends() {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let routes = Router::new().route("/", get(|| async { "here" }));
            let accepting = tokio::spawn(accept(listener, None, routes, 1));
            let silent = TcpStream::connect(address).await.unwrap();
            let mut other = TcpStream::connect(address).await.unwrap();
            other.write_all(b"GET / HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n").await.unwrap();
            // It has the only place, in which the other is served afterwards.
            drop(silent);
            let mut said = String::new();
            other.read_to_string(&mut said).await.unwrap();
            assert!(said.starts_with("HTTP/1.1 200") && said.ends_with("here"), "{said}");
            accepting.abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_pass_in_clear_on_this_machine_alone() {
        let address = |text: &str| text.parse().unwrap();
        for own in ["127.0.0.1:9099", "127.8.0.1:9099", "[::1]:9099"] {
            assert!(Receive::new(address(own), None).is_ok(), "{own}");
        }
        for others in ["0.0.0.0:9099", "10.0.0.1:9099", "[::]:9099", "192.0.2.1:443"] {
            let refused = Receive::new(address(others), None).unwrap_err();
            assert!(refused.contains(others) && refused.contains("--receive-cert"), "{refused}");
            let certificate = Certificate { cert: "cert.pem".into(), key: "key.pem".into() };
            assert!(Receive::new(address(others), Some(certificate)).is_ok(), "{others}");
        }
    }
}
